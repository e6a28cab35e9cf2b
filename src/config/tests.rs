mod changes;
mod redis;

use std::path::PathBuf;

use super::*;

/// What came of a file's text, of variables and of flags.
fn load_all(text: &str, variables: &[(&str, &str)], flags: &[&str]) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("forebay.toml");
    std::fs::write(&path, text).unwrap();
    load(&Inputs {
        file: Some(path),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        variables: variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
    })
}

fn load_text(text: &str) -> Loaded {
    load_all(text, &[], &[])
}

/// Line, column and message of each finding that stands in the file.
fn placed(loaded: &Loaded) -> Vec<(usize, usize, &str)> {
    let placed = |finding: &'_ Finding| match &finding.at {
        At::File(place) => Some((place.line, place.column)),
        At::Variable(_) | At::Flag(_) | At::Nowhere => None,
    };
    let all = loaded.findings.iter();
    all.filter_map(|f| placed(f).map(|(line, column)| (line, column, f.message.as_str()))).collect()
}

fn value<'l>(loaded: &'l Loaded, key: &str) -> (&'l str, &'l str) {
    let found = loaded.values.iter().find(|value| value.key == key).unwrap();
    (found.value.as_deref().unwrap_or("-"), found.origin.as_str())
}

#[test]
fn an_empty_file_and_no_file_are_the_defaults() {
    for loaded in [load_text(""), load(&Inputs::default()), load_text("\u{feff}# nothing\r\n")] {
        assert_eq!(loaded.findings, []);
        let settings = loaded.settings.unwrap();
        assert_eq!(settings.retention, Retention::default());
        assert!(settings.sales.is_empty());
    }
}

/// Text, line, column, and what the message must hold.
const MISTAKES: &[(&str, usize, usize, &str)] = &[
    ("[log]\nlevl = \"info\"\n", 2, 1, "did you mean `level`?"),
    ("[lgo]\nlevel = \"info\"\n", 1, 2, "did you mean `log`?"),
    ("[log]\ntickets = \"7d\"\n", 2, 1, "it belongs in [retention]"),
    ("[log]\nlevel = \"loud\"\n", 2, 9, "unknown variant `loud`"),
    ("[log]\nlevel = 3\n", 2, 9, "unknown variant `3`"),
    ("log = 3\n", 1, 7, "`log` is a section"),
    ("[log]\nlevel = \"info\"\nlevel = \"warn\"\n", 3, 1, "duplicate key"),
    ("[log\nlevel = \"info\"\n", 1, 5, "table"),
    ("[log]\nlevel = info\n", 2, 9, "in quotes: \"info\""),
    ("[retention]\nsales = 90d # long\n", 2, 9, "in quotes: \"90d\""),
    ("[retention]\r\ntickets = \"7 days\"\r\n", 2, 11, "a duration is written like"),
    ("[retention]\ntickets = 7\n", 2, 11, "a duration is written like"),
    ("\u{feff}[retention]\ntickets = \"-1s\"\n", 2, 11, "a duration is written like"),
    ("[shop]\nurl = \"http://shop\"\n", 1, 2, "`shop` is not built yet"),
    ("[[intercept]]\npath = \"/buy\"\n", 1, 3, "`intercept` is not built yet"),
    ("[store.http]\nurl = \"ftp://root:hunter2@shop\"\n", 2, 1, "begins with http://"),
    ("[store.http]\nlookup_url = \"http://shop/o\"\n", 2, 1, "write {ticket} where"),
    ("[sale]\nname = \"a\"\n", 1, 2, "[[sale]]"),
    ("[[sale]]\nitems = [{ sku = \"a\", stock = 1 }]\n", 1, 1, "needs a `name`"),
    ("[[sale]]\nname = \"a\"\n", 1, 1, "needs `items"),
    ("[[sale]]\nname = \"a/b\"\nitems = [{ sku = \"a\", stock = 1 }]\n", 2, 8, "a sale's name"),
    ("[[sale]]\nname = \"a\"\nitems = [{ sku = \"a\" }]\n", 1, 1, "needs a `stock`"),
    ("[[sale]]\nname = \"a\"\nitems = [{ sku = \"a\", stock = -1 }]\n", 3, 31, "-1"),
    ("[[sale]]\nname = \"a\"\nitems = [{ sku = \"a\", stok = 1 }]\n", 3, 23, "`stok`"),
    (
        "[[sale]]\nname = \"a\"\nitems = [{ sku = \"a\", stock = 9223372036854775808 }]\n",
        1,
        1,
        "`stock` must be",
    ),
    (
        "[[sale]]\nname = \"a\"\nitems = [{ sku = \"a\", stock = 1 }, { sku = \"a\", stock = 1 }]\n",
        1,
        1,
        "listed twice",
    ),
    (
        "[[sale]]\nname = \"a\"\nopens_at = 2026-01-01T00:00:00Z\ncloses_at = 2025-01-01T00:00:00Z\n\
             items = [{ sku = \"a\", stock = 1 }]\n",
        1,
        1,
        "`opens_at` must be before",
    ),
    (
        "[[sale]]\nname = \"a\"\nopens_at = 2026-01-01T00:00:00\nitems = [{ sku = \"a\", stock = 1 }]\n",
        3,
        12,
        "with a zone",
    ),
    (
        "[[sale]]\nname = \"a\"\npayment_window_ms = 5\nitems = [{ sku = \"a\", stock = 1 }]\n",
        3,
        1,
        "`payment_window_ms` is not built yet",
    ),
    (
        "[[sale]]\nname = \"a\"\nlimit_per_buyr = 1\nitems = [{ sku = \"a\", stock = 1 }]\n",
        3,
        1,
        "did you mean `limit_per_buyer`?",
    ),
];

#[test]
fn each_mistake_is_found_where_it_stands() {
    for (text, line, column, message) in MISTAKES {
        let loaded = load_text(text);
        let findings = placed(&loaded);
        assert!(loaded.settings.is_none(), "{text}");
        assert!(
            findings.iter().any(|(l, c, m)| (l, c) == (line, column) && m.contains(message)),
            "{text}\n{findings:?}"
        );
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let loaded = load_all(
        "[retention]\ntickets = 7\nsalles = \"1d\"\n[log]\nlevel = = 3\n[shop]\nurl = 1\n",
        &[("FOREBAY_LOG__FORMAT", "xml"), ("FOREBAY_LOG__FROMAT", "json"), ("FOREBAY_PORT", "1")],
        &["log.level=7", "a.b=1"],
    );
    let lines: Vec<usize> = placed(&loaded).iter().map(|(line, _, _)| *line).collect();
    assert_eq!(lines, [2, 3, 5, 6], "{:#?}", loaded.findings);
    let rest: Vec<String> = loaded.findings[4..].iter().map(ToString::to_string).collect();
    assert_eq!(rest.len(), 5, "{rest:#?}");
    assert!(rest[0].starts_with("error: FOREBAY_LOG__FORMAT: unknown variant `xml`"), "{rest:?}");
    assert!(rest[1].starts_with("error: FOREBAY_LOG__FROMAT: names no setting: did"), "{rest:?}");
    assert!(rest[2].starts_with("error: --set log.level: unknown variant `7`"), "{rest:?}");
    assert!(rest[3].starts_with("error: --set a.b: names no setting: `forebay config"), "{rest:?}");
    assert!(rest[4].starts_with("warning: FOREBAY_PORT: names no setting: a key"), "{rest:?}");
}

#[test]
fn a_finding_is_shown_with_its_line_and_a_caret() {
    let loaded = load_text("[log]\r\n\tlevel = \"louder\" # é\r\n");
    let shown = loaded.findings[0].to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].starts_with(" --> ") && lines[1].ends_with("forebay.toml:2:10"), "{shown}");
    assert_eq!(lines[3], "2 | \tlevel = \"louder\" # é");
    assert_eq!(lines[4], "  | \t        ^^^^^^^^");
}

#[test]
fn secrets_are_not_shown() {
    let url = "url = \"redis://:hunter2@db\n";
    let loaded = load_all(url, &[("FOREBAY_STORE__MYSQL__URL", "mysql://root:hunter2@db")], &[]);
    let shown: String = loaded.findings.iter().map(ToString::to_string).collect();
    assert!(shown.contains("url = ***") && shown.contains("FOREBAY_STORE__MYSQL__URL"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let file = "[log]\nlevel = \"warn\"\nformat = \"text\"\n[retention]\ntickets = \"1d\"\n";
    let loaded = load_all(
        file,
        &[("FOREBAY_LOG__LEVEL", "error"), ("FOREBAY_LOG__FORMAT", "json"), ("PATH", "/bin")],
        &["log.level=debug"],
    );
    assert_eq!(loaded.findings, []);
    assert_eq!(value(&loaded, "log.level"), ("\"debug\"", "flag --set log.level"));
    assert_eq!(value(&loaded, "log.format"), ("\"json\"", "env FOREBAY_LOG__FORMAT"));
    assert!(value(&loaded, "retention.tickets").1.ends_with("forebay.toml:5"));
    assert_eq!(value(&loaded, "retention.sales"), ("\"90d\"", "default"));
    let settings = loaded.settings.unwrap();
    assert_eq!((settings.log.level, settings.log.format), (Level::Debug, Format::Json));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let binary = directory.path().join("binary.toml");
    std::fs::write(&binary, [b'a', 0xff]).unwrap();
    let large = directory.path().join("large.toml");
    std::fs::File::create(&large).unwrap().set_len(1 << 30).unwrap();
    let missing = directory.path().join("missing.toml");
    for (path, cause) in [
        (directory.path().to_owned(), "is a directory"),
        (binary, "not UTF-8"),
        (large, "larger than 1 MiB"),
        (missing, "No such file"),
        (PathBuf::from("/dev/zero"), "larger than 1 MiB"),
    ] {
        let loaded = load(&Inputs { file: Some(path.clone()), ..Inputs::default() });
        let message = &loaded.findings[0].message;
        assert!(loaded.settings.is_none());
        assert!(message.contains(&*path.to_string_lossy()) && message.contains(cause), "{message}");
    }
}

#[test]
fn the_manual_holds_every_key_with_its_default() {
    let source = Source::of("config/forebay.toml".to_owned(), MANUAL);
    let mut findings = Findings::default();
    let reading = read::document(&source, &mut findings);
    let said = reading.said(&mut findings);
    assert_eq!(findings.sorted(), [], "the manual names only keys that there are");
    let default = said::Said::default();
    assert_eq!(format!("{said:#?}"), format!("{default:#?}"), "its values are the defaults");
    let (mut section, mut sections) = ("", Vec::new());
    let mut written = Vec::new();
    for line in MANUAL.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            sections.push(name);
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ") {
            written.push(format!("{section}.{key}"));
        }
    }
    for key in known::keys_of::<said::Said>() {
        if not_built::key(&key).is_some() {
            assert!(!written.contains(&key), "{key} is shown as if it were built");
            continue;
        }
        assert!(written.contains(&key), "{key} is not in config/forebay.toml");
    }
    for key in sale::keys().into_iter().filter(|key| !sale::NOT_BUILT.contains(&key.as_str())) {
        assert!(MANUAL.contains(&format!("\n#{key} = ")), "{key} of [[sale]] is not in the manual");
    }
    let mut named = sections.clone();
    named.sort_unstable();
    named.dedup();
    assert_eq!(named.len(), sections.len(), "each section stands there once");
}

#[test]
fn the_manuals_examples_are_right() {
    let start = MANUAL.find("#[[sale]]").unwrap();
    let sale: String = MANUAL[start..]
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' '))
        .map(|line| format!("{line}\n"))
        .collect();
    let loaded = load_text(&sale);
    assert_eq!(loaded.findings, []);
    assert_eq!(loaded.settings.unwrap().sales[0].name.as_str(), "phones");
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    let text = "[public.limits]\nconnections_per_address = 5\n\
                [shop]\nurl = \"http://a\"\n[[consumer]]\n[[intercept]]\npath = \"/\"\n";
    let loaded = load_text(text);
    let found = placed(&loaded);
    let lines: Vec<usize> = found.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, [3, 5, 6], "{found:#?}");
    assert!(found.iter().all(|(.., message)| message.contains("not built yet")), "{found:#?}");
    let set = load_all("", &[("FOREBAY_SHOP__URL", "http://a")], &[]);
    assert!(set.findings.iter().all(|finding| finding.message.contains("not built yet")));
    assert_eq!(set.findings.len(), 1);
}

#[test]
fn keys_that_clash_are_told_together() {
    let table: &[(&str, usize, &[&str])] = &[
        ("[drain]\nlease = \"5s\"\n", 2, &["drain.lease", "drain.attempt_timeout"]),
        ("[drain]\nattempt_timeout = \"9s\"\n", 2, &["drain.lease", "drain.attempt_timeout"]),
        (
            "[store]\nkind = \"http\"\n[store.http]\ntimeout = \"5s\"\n",
            4,
            &["store.http.timeout", "drain.attempt_timeout"],
        ),
        ("[admin]\nlisten = \"127.0.0.1:8080\"\n", 2, &["public.listen", "admin.listen"]),
        ("[public]\nlisten = \"127.0.0.1:9180\"\n", 2, &["public.listen", "admin.listen"]),
        ("[admin]\nlisten = \"0.0.0.0:9180\"\n", 2, &["token_file"]),
        ("[admin]\ntoken_file = \"/nowhere/tokens\"\n", 2, &["/nowhere/tokens: No such file"]),
        ("[tickets]\nkey_files = [\"/nowhere/key\"]\n", 2, &["/nowhere/key"]),
        ("[drain]\nrate = \"0/s\"\n", 2, &["0 is refused"]),
        ("[drain]\nrate = 200\n", 2, &["a rate is written like"]),
        ("[drain]\nrate = nan\n", 2, &["a rate is written like"]),
        ("[drain]\nrate = \"1000000000000/s\"\n", 2, &["at most 1000000"]),
        ("[drain]\nworkers = 0\n", 2, &["drain.workers"]),
        ("[drain]\nburst = 0\n", 2, &["drain.burst"]),
        ("[drain]\nbatch = 1000000000\n", 2, &["drain.batch"]),
        ("[drain]\nlease = \"0s\"\n", 2, &["drain.lease"]),
        ("[drain]\nattempt_timeout = \"0s\"\n", 2, &["drain.attempt_timeout"]),
        ("[retry]\nattempts = 0\n", 2, &["retry.attempts"]),
        ("[limits]\nper_buyer = \"0/s\"\n", 2, &["0 is refused"]),
        ("[limits]\nper_buyer_burst = 0\n", 2, &["limits.per_buyer_burst", "more than zero"]),
        ("[limits]\ngateway_burst = 0\n", 2, &["limits.gateway_burst", "more than zero"]),
        ("[public]\nlisten = \"0.0.0.0:99999\"\n", 2, &["public.listen"]),
        ("[public.limits]\nconnections_per_address = 0\n", 2, &["a number from 1"]),
        ("[public.limits]\nconnections_per_address = \"many\"\n", 2, &["a number from 1"]),
        ("[public.timeouts]\nidle = \"0s\"\n", 2, &["public.timeouts.idle", "more than zero"]),
        ("[ledger.embedded]\nsegment_size = \"1KiB\"\n", 2, &["at least 4KiB"]),
        ("[identity]\nmode = \"jwt\"\n", 2, &["needs identity.algorithm"]),
        ("[identity]\nmode = \"jwt\"\n", 2, &["needs identity.key_file"]),
        ("[identity]\nmode = \"forward\"\n", 2, &["needs identity.url"]),
        ("[identity]\nmode = \"cookie\"\n", 2, &["unknown variant `cookie`"]),
        ("[identity]\nheader = \"X_Buyer_Id\"\n", 2, &["without `_`"]),
        ("[identity]\nissuer = \"a\"\n", 2, &["identity.issuer has no effect"]),
        (
            "[identity]\nmode = \"jwt\"\nkey_file = \"/nowhere/key\"\nalgorithm = \"HS256\"\n",
            3,
            &["/nowhere"],
        ),
        ("[identity]\nmode = \"forward\"\nurl = \"https://a\"\n", 3, &["not built yet"]),
        ("[identity]\nalgorithm = \"none\"\n", 2, &["unknown variant `none`"]),
    ];
    for (text, line, words) in table {
        let loaded = load_text(text);
        let found = placed(&loaded);
        assert!(loaded.settings.is_none(), "{text}");
        let said = |(at, _, message): &(usize, usize, &str)| {
            at == line && words.iter().all(|word| message.contains(word))
        };
        assert!(found.iter().any(said), "{text}\n{found:#?}");
    }
}

#[test]
fn a_secret_of_tokens_is_never_shown_and_warned_of_when_others_may_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    std::fs::write(&file, "hunter2-hunter2-hunter2-hunter2-hunter2").unwrap();
    let text = |algorithm: &str| {
        let file = file.display();
        format!("[identity]\nmode = \"jwt\"\nkey_file = \"{file}\"\nalgorithm = \"{algorithm}\"\n")
    };
    let loaded = load_text(&text("HS256"));
    let shown = format!("{:?} {:?} {:?}", loaded.settings, loaded.findings, loaded.values);
    assert!(loaded.settings.is_some() && !shown.contains("hunter2"), "{shown}");
    assert!(placed(&loaded)[0].2.contains("chmod 600"), "{shown}");
    let refused = load_text(&text("ES256"));
    let shown = format!("{:?}", refused.findings);
    assert!(refused.settings.is_none() && shown.contains("no public key"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn what_was_refused_breaks_no_rule_besides() {
    let loaded = load_text("[drain]\nlease = \"soon\"\nattempt_timeout = \"20s\"\n");
    assert_eq!(placed(&loaded).len(), 1, "{:#?}", loaded.findings);
}

#[test]
fn an_address_of_ipv6_is_taken() {
    let loaded = load_text("[public]\nlisten = \"[::1]:8080\"\n[admin]\nlisten = \"[::1]:9180\"\n");
    assert_eq!(loaded.findings, []);
}

#[test]
fn an_adaptive_drain_has_its_floor_and_a_floor_alone_is_a_warning() {
    let adaptive = "[drain]\nadaptive = true\nfloor = \"30/m\"\n";
    let loaded = load_text(adaptive);
    assert_eq!(loaded.findings, []);
    assert!(loaded.settings.is_some_and(|settings| settings.drain.adaptive));
    let alone = load_text("[drain]\nfloor = \"30/m\"\n");
    assert!(alone.settings.is_some());
    let found = placed(&alone);
    assert!(found.len() == 1 && found[0].0 == 2 && found[0].2.contains("no effect"), "{found:#?}");
    let above = load_text("[drain]\nadaptive = true\nrate = \"1/s\"\nfloor = \"2/s\"\n");
    let found = placed(&above);
    assert!(above.settings.is_none() && found.len() == 1, "{found:#?}");
    assert!(found[0].2.contains("drain.floor (2/s) must not be above drain.rate (1/s)"));
}

#[test]
fn a_sale_that_will_not_go_as_meant_is_a_warning() {
    let text = "[[sale]]\nname = \"big\"\nlimit_per_buyer = 60000\ndrain_rate = \"100/s\"\n\
                items = [{ sku = \"a\", stock = 50000 }]\n[[sale]]\nname = \"small\"\n\
                items = [{ sku = \"a\", stock = 30000 }]\n";
    let loaded = load_text(text);
    assert_eq!(loaded.settings.as_ref().unwrap().sales.len(), 2);
    let found = placed(&loaded);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].2.contains("limit_per_buyer (60000)"));
    assert!(found[1].2.contains("50000 units at 100/s take 500s"), "{found:#?}");
}

#[test]
fn a_number_a_list_and_a_choice_can_come_from_the_environment() {
    let loaded = load_all(
        "",
        &[
            ("FOREBAY_PUBLIC__LIMITS__CONNECTIONS", "1000"),
            ("FOREBAY_PUBLIC__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
            ("FOREBAY_ADMIN__METRICS_OPEN", "false"),
            ("FOREBAY_DRAIN__BURST", "7"),
            ("FOREBAY_DRAIN__BATCH", "auto"),
            ("FOREBAY_LEDGER__EMBEDDED__DIRECTORY", "42"),
        ],
        &[],
    );
    assert_eq!(loaded.findings, []);
    let settings = loaded.settings.unwrap();
    assert_eq!(settings.public.limits.connections, 1000);
    assert_eq!(settings.public.trusted_proxies.len(), 1);
    assert_eq!(settings.drain.burst(), Some(7));
    assert_eq!(settings.ledger.embedded.directory, PathBuf::from("42"));
    for (name, value, message) in [
        ("FOREBAY_DRAIN__WORKERS", "-1", "-1"),
        ("FOREBAY_DRAIN__WORKERS", "many", "many"),
        ("FOREBAY_DRAIN__RATE", "200", "a rate is written like"),
        ("FOREBAY_ADMIN__METRICS_OPEN", "yes", "boolean"),
        ("FOREBAY_PUBLIC__LISTEN", "nowhere", "an address and a port"),
    ] {
        let loaded = load_all("", &[(name, value)], &[]);
        let shown = loaded.findings[0].to_string();
        assert!(
            loaded.settings.is_none() && shown.starts_with(&format!("error: {name}: ")),
            "{shown}"
        );
        assert!(shown.contains(message), "{shown}");
    }
}

#[test]
fn variables_of_tests_and_of_the_command_line_are_no_settings() {
    let names = ["FOREBAY_CONFIG", "FOREBAY_TEST_SEED", "FOREBAY_ADMIN_URL", "FOREBAY_TOKEN_FILE"];
    let variables: Vec<(&str, &str)> = names.iter().map(|name| (*name, "x")).collect();
    assert_eq!(load_all("", &variables, &[]).findings, []);
}

#[test]
fn a_token_file_that_is_not_there_is_named_once() {
    let loaded = load_text("[admin]\ntoken_file = \"/nowhere/tokens\"\n");
    let message = &loaded.findings[0].message;
    assert_eq!(message.matches("/nowhere/tokens").count(), 1, "{message}");
}
