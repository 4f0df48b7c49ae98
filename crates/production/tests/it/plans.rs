//! The ledger's plans, on tables with a history: no statement reads a growing table from end to end, and the claim goes by its own index.
//!
//! The statements are those that were checked at compile time (`.sqlx`), so none is copied here to go stale.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::database::Database;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

/// The tables that grow with customers and their work.
const GROWING: [&str; 8] =
    ["accounts", "api_keys", "attempts", "audit", "credit_entries", "generations", "idempotency_keys", "work"];
const HISTORY: [&str; 8] = [
    "insert into accounts (id, name, tier)
     select gen_random_uuid(), 'n', 'pro' from generate_series(1, 5000)",
    "insert into generations (id, account_id, tier, request, status, cost, bucket, month, output, created_at, finished_at, cancel_after)
     select (lpad(to_hex(1700000000000 + n), 12, '0') || '70008000000000000000')::uuid, a.id, 'pro', '{\"duration_seconds\": 60}',
            case when n > 10000 then 'succeeded' else 'open' end, 1, 'granted', 202611, case when n > 10000 then '{}'::jsonb end,
            now(), case when n > 10000 then now() end, now() + interval '1 hour'
     from generate_series(1, 30000) as s (n) join (select id, row_number() over () as place from accounts) a on a.place = n % 5000 + 1",
    "insert into work (generation_id, account_id, tier, tag, share, run_after, deadline, created_at)
     select id, account_id, 'pro', row_number() over (order by id), 1, now(), cancel_after, now() from generations where status = 'open'",
    "insert into credit_entries (account_id, id, kind, bucket, amount, generation_id)
     select account_id, id, 'debit', 'granted', -1, id from generations",
    "insert into attempts (generation_id, fence, tier, outcome) select id, 1, 'pro', status from generations where status = 'succeeded'",
    "insert into idempotency_keys select account_id, id::text, sha256('x'), id, now() from generations",
    "insert into api_keys (id, account_id, name, prefix, hash) select gen_random_uuid(), id, 'k', 'p', sha256(id::text::bytea) from accounts",
    "analyze",
];

struct Statement {
    sql: String,
    arguments: String,
}

/// A literal of each type that our statements are given. Arrays hold fifty, as a usual batch does.
fn argument(of: &str) -> String {
    let id = |n: u64| format!("00000000-0000-7000-8000-{n:012x}");
    let fifty = |item: &dyn Fn(u64) -> String| {
        let items: Vec<_> = (1..=50).map(item).collect();
        format!("'{{{}}}'", items.join(","))
    };
    match of {
        "Uuid" => format!("'{}'", id(1)),
        "UuidArray" => fifty(&id),
        "Int2" | "Int4" | "Int8" | "Float8" => "50".to_owned(),
        "Int4Array" | "Int8Array" | "Float8Array" => fifty(&|n| n.to_string()),
        "Bool" => "true".to_owned(),
        "Timestamptz" => "now()".to_owned(),
        "TimestamptzArray" => fifty(&|_| "2026-11-24".to_owned()),
        "Text" => "'x'".to_owned(),
        "TextArray" => fifty(&|_| "x".to_owned()),
        "Bytea" => "'x'".to_owned(),
        "ByteaArray" => fifty(&|_| "x".to_owned()),
        "Jsonb" => "'{}'".to_owned(),
        "JsonbArray" => fifty(&|_| "1".to_owned()),
        other => panic!("no literal for {other}"),
    }
}

fn statements() -> Vec<Statement> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx")).unwrap();
    let statements: Vec<_> = folder
        .map(|entry| {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let query: Value = serde_json::from_str(&text).unwrap();
            let types = query["describe"]["parameters"]["Left"].as_array().unwrap();
            let arguments: Vec<_> = types.iter().map(|of| argument(of.as_str().unwrap())).collect();
            let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(",")) };
            Statement { sql: query["query"].as_str().unwrap().to_owned(), arguments }
        })
        .collect();
    assert!(statements.len() > 50, "{}", statements.len());
    statements
}

async fn with_history() -> (Database, PgConnection) {
    let database = Database::fresh().await;
    let mut connection = database.connection().await;
    for statement in HISTORY {
        connection.execute(statement).await.unwrap();
    }
    (database, connection)
}

/// The plan that the server makes once and keeps (`generic`), or the one for these arguments alone.
async fn plan(connection: &mut PgConnection, statement: &Statement, kind: &str) -> String {
    connection.execute(AssertSqlSafe(format!("set plan_cache_mode = force_{kind}_plan"))).await.unwrap();
    connection.execute(AssertSqlSafe(format!("prepare asked as {}", statement.sql))).await.unwrap();
    let explain = format!("explain execute asked{}", statement.arguments);
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
    connection.execute("deallocate asked").await.unwrap();
    lines.join("\n")
}

fn reads_from_end_to_end(plan: &str) -> bool {
    GROWING.iter().any(|table| plan.contains(&format!("Seq Scan on {table} ")))
}

#[tokio::test]
async fn no_statement_needs_to_read_a_growing_table_from_end_to_end() {
    let (database, mut connection) = with_history().await;
    // Whether it could: on tables of this size the planner may prefer to read one.
    connection.execute("set enable_seqscan = off").await.unwrap();
    for statement in statements() {
        let plan = plan(&mut connection, &statement, "generic").await;
        assert!(!reads_from_end_to_end(&plan), "{}\n{plan}", statement.sql);
    }
    drop(connection);
    database.drop().await;
}

#[tokio::test]
async fn the_claim_goes_by_its_own_index_and_probes_the_rest_by_key() {
    let (database, mut connection) = with_history().await;
    let claims: Vec<_> =
        statements().into_iter().filter(|statement| statement.sql.contains("set state = 'submitting'")).collect();
    assert_eq!(claims.len(), 1);
    for kind in ["generic", "custom"] {
        let plan = plan(&mut connection, &claims[0], kind).await;
        assert!(plan.contains("Index Scan using work_ready on work"), "{kind}:\n{plan}");
        assert!(plan.contains("Index Scan using work_pkey on work"), "{kind}:\n{plan}");
        assert!(plan.contains("Index Scan using generations_pkey on generations"), "{kind}:\n{plan}");
        assert!(!reads_from_end_to_end(&plan) && !plan.contains("Sort Key: work.tag"), "{kind}:\n{plan}");
    }
    drop(connection);
    database.drop().await;
}
