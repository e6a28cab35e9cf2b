//! `[ledger.redis]`, and the engine that it is for.

use super::*;

/// Everything that may be shown of what was loaded.
fn shown(loaded: &Loaded) -> String {
    let findings: Vec<String> = loaded.findings.iter().map(ToString::to_string).collect();
    format!("{:?} {findings:?} {:?} {:?}", loaded.settings, loaded.findings, loaded.values)
}

#[test]
fn a_redis_ledger_is_chosen_with_its_settings() {
    let text = "[ledger]\nengine = \"redis\"\n[ledger.redis]\nurl = \"redis://:hunter2@queue:7000/3\"\n\
                prefix = \"eu\"\ntimeout = \"250ms\"\n";
    let loaded = load_text(text);
    assert_eq!(loaded.findings, []);
    assert!(!shown(&loaded).contains("hunter2"), "{}", shown(&loaded));
    assert_eq!(value(&loaded, "ledger.redis.url").0, "\"redis://:***@queue:7000/3\"");
    let settings = loaded.settings.unwrap();
    assert_eq!(settings.ledger.engine, Engine::Redis);
    assert_eq!(settings.ledger.redis.url, "redis://:hunter2@queue:7000/3");
    assert_eq!(value(&load_text(""), "ledger.redis.url").0, "\"redis://127.0.0.1:6379\"");
    let url = [("FOREBAY_LEDGER__REDIS__URL", "redis://:hunter3@other")];
    let loaded = load_all(text, &url, &[]);
    assert!(!shown(&loaded).contains("hunter"), "{}", shown(&loaded));
    assert_eq!(loaded.settings.unwrap().ledger.redis.url, "redis://:hunter3@other");
}

#[test]
fn what_is_wrong_stands_where_it_was_said_and_the_password_is_not_shown() {
    let table: &[(&str, &[&str])] = &[
        ("url = \"http://:hunter2@a\"", &["begins with redis://"]),
        ("url = \"redis+sentinel://:hunter2@a/main\"", &["Sentinel", "not built yet"]),
        ("url = \"redis://:hunter2@0.0.0.0\"", &["0.0.0.0"]),
        ("url = 5", &["ledger.redis.url", "quotes"]),
        ("prefix = \"a{b\"", &["prefix", "without braces"]),
        ("replicas = 0", &["at least 1"]),
        ("replicas = 300", &["ledger.redis.replicas"]),
        ("replicas = 2", &["no effect with durability"]),
        ("timeout = \"1ms\"", &["10ms to 30s"]),
        ("durability = \"always\"", &["unknown variant `always`", "replicated"]),
        (
            "password_file = \"/nowhere/password\"",
            &["password_file /nowhere/password: No such file"],
        ),
        ("ca_file = \"/nowhere/ca.pem\"", &["no effect without TLS"]),
    ];
    for (line, words) in table {
        let loaded = load_text(&format!("[ledger]\nengine = \"redis\"\n[ledger.redis]\n{line}\n"));
        let found = placed(&loaded);
        assert!(loaded.settings.is_none() && !shown(&loaded).contains("hunter"), "{line}");
        let said = |(at, _, message): &(usize, usize, &str)| {
            *at == 4 && words.iter().all(|word| message.contains(word))
        };
        assert!(found.iter().any(said), "{line}\n{found:#?}");
    }
    let inline = "[ledger]\nengine = \"redis\"\nredis = { url = \"redis://:hunter2@a\", prefix = \"a b\", timout = \"1s\" }\n";
    let loaded = load_text(inline);
    assert_eq!(placed(&loaded).len(), 2, "{:?}", loaded.findings);
    assert!(!shown(&loaded).contains("hunter2"), "{}", shown(&loaded));
}

#[test]
fn what_is_said_of_the_other_engine_is_a_warning() {
    let warns = |text: &str, line: usize, word: &str| {
        let loaded = load_text(text);
        let found = placed(&loaded);
        assert!(loaded.settings.is_some() && found.len() == 1, "{text}: {found:?}");
        assert!(found[0].0 == line && found[0].2.contains(word), "{text}: {found:?}");
    };
    warns(
        "[ledger.redis]\nurl = \"redis://a\"\n",
        2,
        "no effect with ledger.engine = \"embedded\"",
    );
    let embedded = "[ledger]\nengine = \"redis\"\n[ledger.embedded]\ndirectory = \"a\"\n";
    warns(embedded, 4, "no effect with ledger.engine = \"redis\"");
    let default = load_text("[ledger.redis]\nprefix = \"forebay\"\n");
    assert_eq!(default.findings, [], "what is the default changes nothing");
    let slow = "[ledger]\nengine = \"redis\"\n[ledger.redis]\ntimeout = \"2s\"\n";
    warns(slow, 4, "no time to ask again");
}

#[test]
fn a_password_file_that_others_may_read_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "hunter2\n").unwrap();
    let text = format!("[ledger]\nengine = \"redis\"\n[ledger.redis]\npassword_file = {file:?}\n");
    let loaded = load_text(&text);
    assert!(loaded.settings.is_some() && placed(&loaded)[0].2.contains("chmod 600"));
    assert!(!shown(&loaded).contains("hunter2"), "{}", shown(&loaded));
}

#[test]
fn the_queue_of_a_redis_ledger_is_not_in_the_gateway_s_memory() {
    let most = |text: &str| load_text(text).settings.unwrap().memory_max();
    let redis = most("[ledger]\nengine = \"redis\"\n[ledger.redis]\nremember = \"0B\"\n");
    assert_eq!(most("") - redis, 2 * 1_000_000 * 300 - 1_000_000 * 32);
    let text = "[ledger]\nengine = \"redis\"\n[ledger.redis]\nremember = \"1GiB\"\n";
    assert_eq!(most(text) - redis, 1 << 30);
}
