//! An operator at a shell: `son1k admin`, `doctor`, `top`, completions, against a running system; what they print and what they exit with.

use crate::processes::{Running, output};
use std::path::Path;

const SETTINGS: [(&str, &str); 4] = [
    ("PORT", "0"),
    ("HOST", "127.0.0.1"),
    ("SIMULATOR_RENDER_SECONDS_MIN", "0.1"),
    ("SIMULATOR_RENDER_SECONDS_MAX", "0.2"),
];

struct Shell<'a> {
    folder: &'a Path,
    url: String,
}

impl Shell<'_> {
    /// What it prints, with the status it exits with.
    fn run(&self, line: &str) -> (i32, String) {
        self.run_with(line, &[])
    }

    fn run_with(&self, line: &str, more: &[(&str, &str)]) -> (i32, String) {
        let mut settings = SETTINGS.to_vec();
        settings.push(("ADMIN_URL", &self.url));
        settings.extend(more);
        let arguments: Vec<&str> = line.split(' ').collect();
        let done = output("son1k", self.folder, &settings, &arguments);
        let said = [done.stdout, done.stderr].concat();
        (done.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    #[track_caller]
    fn says(&self, line: &str) -> String {
        let (status, said) = self.run(line);
        assert_eq!(status, 0, "{line}: {said}");
        said.trim_end().to_owned()
    }
}

#[test]
fn everything_can_be_operated_from_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let mut system = Running::start("son1k", folder.path(), &SETTINGS, &["up"]);
    let shell = Shell { folder: folder.path(), url: system.until("ready ") };

    let account = shell.says("admin accounts create acme --tier pro --email a@example.org --share 3");
    assert!(shell.says("admin accounts list acme").contains(&account));
    let json = shell.says("admin accounts list acme --json");
    assert!(json.starts_with('{') && json.contains("\"has_more\": false"), "{json}");
    assert!(shell.says(&format!("admin accounts show {account}")).contains("limits.share"));
    shell.says(&format!("admin accounts credit {account} 5 --reason goodwill"));
    assert!(shell.says(&format!("admin accounts change {account} --status suspended")).contains("suspended"));
    shell.says(&format!("admin accounts change {account} --status active --tier enterprise"));

    let key = shell.says(&format!("admin keys create {account} --name laptop"));
    assert!(key.starts_with("son1k_live_"), "{key}");
    let listed = shell.says(&format!("admin keys list {account}"));
    assert!(listed.contains("laptop") && !listed.contains(&key), "{listed}");
    let id = listed.lines().next().unwrap().split(' ').next().unwrap();
    assert!(shell.says(&format!("admin keys rotate {account} {id} --overlap-seconds 60")).starts_with("son1k_live_"));
    assert_eq!(shell.says(&format!("admin keys revoke {account} {id}")), "revoked");

    assert_eq!(shell.says("admin queue pause"), "paused");
    assert!(shell.says("admin queue").contains("PAUSED"));
    assert_eq!(shell.says("admin queue resume"), "resumed");
    assert!(shell.says("admin workers list").starts_with("wrk_"));
    let token = shell.says("admin tokens list");
    let token = token.lines().next().unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(shell.says(&format!("admin tokens disable {token}")), "disabled");
    assert_eq!(shell.says(&format!("admin tokens reinstate {token}")), "reinstated");
    imports_tokens(&shell);
    assert_eq!(shell.says("admin generations list --status failed"), "");
    assert_eq!(shell.says("admin generations bulk cancel --text nothing"), "0 match; do it with --yes");
    assert!(shell.says("admin audit").contains("account.create"));

    // What a script can tell apart.
    let nobody = "acc_00000000000000000000000001";
    assert_eq!(shell.run(&format!("admin accounts show {nobody}")).0, 3);
    let wrong = ("ADMIN_API_KEY", "wrong-key-wrong-key-wrong-key-wrong-key");
    assert_eq!(shell.run_with("admin queue", &[wrong]).0, 4);
    assert_eq!(shell.run(&format!("admin accounts credit {account} 0 --reason none")).0, 5);
    assert_eq!(shell.run("admin accounts show nonsense").0, 2);

    let (status, said) = shell.run("doctor");
    assert_eq!(status, 0, "{said}");
    for line in ["ok    gateway", "ok    admin key", "ok    workers", "ok    tokens", "DATA_DIR"] {
        assert!(said.contains(line), "{said}");
    }
    let (status, said) = shell.run_with("doctor", &[wrong]);
    assert!(status == 1 && said.contains("BAD   admin key") && said.contains("-> ADMIN_API_KEY"), "{said}");
    let top = shell.says("top");
    assert!(top.contains("waiting") && top.contains("tokens     ok") && !top.contains('\u{1b}'), "{top}");

    system.signal("-TERM");
    assert_eq!(system.end().0, Some(0));
    let (status, said) = shell.run("doctor");
    assert!(status == 1 && said.contains("BAD   gateway") && said.contains("-> is it up?"), "{said}");
    assert_eq!(shell.run("top").0, 6);
}

/// Secrets out of a file: told as a sentence or as the API's answer; all of a file or none of it.
fn imports_tokens(shell: &Shell<'_>) {
    let pool = shell.says("admin tokens pool");
    let write = |name: &str, bytes: &[u8]| std::fs::write(shell.folder.join(name), bytes).unwrap();
    // All but the last 64 bytes of the largest file, then a secret that is longer than those.
    let mut large = format!("{:63}\n", "# nothing, as long as it takes").repeat(16 * 1024 * 1024 / 64 - 1).into_bytes();
    large.extend_from_slice("secret-that-would-be-cut".repeat(4).as_bytes());
    write("large", &large);
    let (status, said) = shell.run("admin tokens import large");
    assert!(status == 1 && said.contains("large cannot be read: it is larger than 16 MiB"), "{said}");
    write("binary", b"secret-in-\xff-bytes");
    let (status, said) = shell.run("admin tokens import binary");
    assert!(status == 1 && said.contains("no UTF-8") && !said.contains("secret-in"), "{said}");
    assert_eq!(shell.says("admin tokens pool"), pool, "nothing of those was imported");

    write("tokens", b"# two\nsecret-of-a-file-one\n\nsecret-of-a-file-two\nsecret-of-a-file-one\n");
    let told = shell.says("admin tokens import tokens --json");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let results: Vec<&str> =
        told["data"].as_array().unwrap().iter().map(|one| one["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["imported", "imported", "duplicate"]);
    assert_eq!(told["data"][0]["id"], told["data"][2]["id"]);
    assert_eq!(shell.says("admin tokens import tokens"), "0 imported, 3 known already, 0 refused");
}

#[test]
fn a_load_reaches_customers_and_operators_where_each_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    // Below the range that is given to whoever asks for any port.
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let free = std::iter::repeat_with(|| rand::random_range(20_000..32_000)).find(is_free).unwrap().to_string();
    let mut system = Running::start("son1k", folder.path(), &[&SETTINGS[..], &[("OPS_PORT", &free)]].concat(), &["up"]);
    let (customers, operators) = (system.until("ready "), format!("http://127.0.0.1:{free}"));
    let submit = format!("load submit --connections 2 --accounts 1 --warmup 0 --seconds 1 --address {customers}");
    let runs = |line: &str, settings: &[(&str, &str)]| {
        let done = output("son1k", folder.path(), settings, &line.split(' ').collect::<Vec<_>>());
        (done.status.success(), String::from_utf8([done.stdout, done.stderr].concat()).unwrap())
    };
    // One address does not do: there the operators' API is not found.
    let (done, said) = runs(&submit, &[]);
    assert!(!done && said.contains("an account for the load"), "{said}");
    for (line, settings) in [
        (format!("{submit} --admin-url {operators}"), vec![]),
        (submit.clone(), vec![("ADMIN_URL", operators.as_str())]),
    ] {
        let (done, said) = runs(&line, &settings);
        assert!(done && said.contains("accepted a second"), "{line}: {said}");
    }
    system.signal("-TERM");
    assert_eq!(system.end().0, Some(0));
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = [
        ("ADMIN_URL", "http://127.0.0.1:9"),
        ("DATABASE_URL", "postgres://somebody:hidden-word@127.0.0.1:9/none"),
        ("RABBITMQ_URL", "amqp://somebody:hidden-word@127.0.0.1:9"),
        ("REDIS_URL", "redis://:hidden-word@127.0.0.1:9"),
    ];
    let done = output("son1k", folder.path(), &nowhere, &["doctor"]);
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    for line in ["BAD   DATABASE_URL", "BAD   RABBITMQ_URL", "BAD   REDIS_URL", "BAD   gateway", "-> is it up"] {
        assert!(said.contains(line), "{said}");
    }
    assert!(!said.contains("hidden-word"), "{said}");
}

#[test]
fn shells_complete_it() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let done = output("son1k", folder.path(), &[], &["completions", shell]);
        let said = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success() && said.contains("generations") && said.contains("doctor"), "{said}");
    }
}
