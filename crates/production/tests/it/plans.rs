//! The ledger's plans, on tables with a history and on such as were empty when they were planned: no statement reads a growing table from end
//! to end, the claim goes by its own index, and what a worker or a gateway writes probes live work by key.
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

/// A scan by age finds a day's keys: that is for their removal.
fn reads_from_end_to_end(plan: &str) -> bool {
    GROWING.iter().any(|table| plan.contains(&format!("Seq Scan on {table} ")))
        || plan.contains("idempotency_keys_by_age") && !plan.contains("Delete on idempotency_keys")
}

/// Whether a batch is joined by looking at each row of one side for each of the other: a hundred would be ten thousand looks.
fn compares_each_with_each(statement: &Statement, plan: &str) -> bool {
    statement.sql.contains("unnest(") && plan.contains("Join Filter:")
}

/// Whether a plan finds rows of the work table by all that an owner holds, and not by their keys.
fn reads_all_that_is_held(plan: &str) -> bool {
    ["work_of_owner", "work_held_of_account"].iter().any(|index| plan.contains(index))
}

/// Whether each row of live work that a plan reads is looked up by its key.
fn probes_by_key(plan: &str) -> bool {
    let lines: Vec<_> = plan.lines().collect();
    let reads = lines.windows(2).filter(|pair| pair[0].contains("using work_pkey on work"));
    let (mut probes, mut others) = (0, 0);
    reads.for_each(|pair| if pair[1].contains("Index Cond: (generation_id = ") { probes += 1 } else { others += 1 });
    probes > 0 && others == 0
}

/// The server's planner, told what the ledger tells it.
async fn told_as_the_ledger_does(connection: &mut PgConnection) {
    for (setting, value) in production::PLANNED {
        connection.execute(AssertSqlSafe(format!("set {setting} = {value}"))).await.unwrap();
    }
}

#[tokio::test]
async fn a_plan_that_was_made_while_the_tables_were_empty_holds_in_a_flood() {
    let database = Database::fresh().await;
    let mut connection = database.connection().await;
    told_as_the_ledger_does(&mut connection).await;
    // Empty and never analysed, then a few rows, then analysed: whichever of them a plan was made on, it is kept for a while.
    let few = [
        HISTORY[0],
        "insert into generations (id, account_id, tier, request, cost, bucket, month, created_at, cancel_after)
                 select gen_random_uuid(), id, 'pro', '{}', 1, 'granted', 202611, now(), now() from accounts limit 40",
        HISTORY[2],
        HISTORY[3],
    ];
    for step in 0..3 {
        match step {
            0 => {}
            1 => {
                for statement in few {
                    connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
                }
            }
            _ => {
                connection.execute("analyze").await.unwrap();
            }
        }
        for statement in statements() {
            let plan = plan(&mut connection, &statement, "generic").await;
            assert!(
                !reads_from_end_to_end(&plan) && !compares_each_with_each(&statement, &plan),
                "{}\n{plan}",
                statement.sql
            );
            if is_a_fenced_write(&statement) {
                assert!(!reads_all_that_is_held(&plan) && probes_by_key(&plan), "{}\n{plan}", statement.sql);
            }
        }
    }
    drop(connection);
    database.drop().await;
}

/// Those that compare owner and fence, and the claim, which makes them.
fn is_a_fenced_write(statement: &Statement) -> bool {
    ["a.fence = w.fence", "set state = 'submitting', owner = $1"].iter().any(|text| statement.sql.contains(text))
}

#[tokio::test]
async fn no_statement_needs_to_read_a_growing_table_from_end_to_end() {
    let (database, mut connection) = with_history().await;
    told_as_the_ledger_does(&mut connection).await;
    let mut fenced = 0;
    for statement in statements() {
        let plan = plan(&mut connection, &statement, "generic").await;
        assert!(
            !reads_from_end_to_end(&plan) && !compares_each_with_each(&statement, &plan),
            "{}\n{plan}",
            statement.sql
        );
        if is_a_fenced_write(&statement) {
            fenced += 1;
            assert!(!reads_all_that_is_held(&plan) && probes_by_key(&plan), "{}\n{plan}", statement.sql);
        }
    }
    // Claimed, accepted upstream, put back, settled, closed.
    assert_eq!(fenced, 5);
    drop(connection);
    database.drop().await;
}

#[tokio::test]
async fn the_claim_goes_by_its_own_index_and_probes_the_rest_by_key() {
    let (database, mut connection) = with_history().await;
    told_as_the_ledger_does(&mut connection).await;
    let claims: Vec<_> =
        statements().into_iter().filter(|statement| statement.sql.contains("set state = 'submitting'")).collect();
    assert_eq!(claims.len(), 1);
    // As it is, and as the planner sees it with a million waiting: what it expects of a limit that it does not know grows with the table.
    for (kind, grown) in [("generic", false), ("custom", false), ("generic", true)] {
        if grown {
            connection
                .execute("update pg_class set reltuples = 1000000 where relname in ('work', 'generations')")
                .await
                .unwrap();
        }
        let plan = plan(&mut connection, &claims[0], kind).await;
        assert!(plan.contains("Index Scan using work_ready on work"), "{kind}:\n{plan}");
        assert!(probes_by_key(&plan), "{kind}:\n{plan}");
        assert!(plan.contains("Index Scan using generations_pkey on generations"), "{kind}:\n{plan}");
        assert!(!reads_from_end_to_end(&plan) && !plan.contains("Sort Key: work.tag"), "{kind}:\n{plan}");
    }
    drop(connection);
    database.drop().await;
}
