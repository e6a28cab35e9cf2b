//! What a reload compares.

use super::load_text;
use crate::config::changes::LIVE;
use crate::config::known;
use crate::config::said::Said;
use crate::config::{MANUAL, SettingChange, Settings, changes};

/// What differs between two files, as `key: old > new`, and which of it takes a restart.
fn differs(old: &str, new: &str) -> (Vec<String>, Vec<String>) {
    let settings = |text| {
        let loaded = load_text(text);
        loaded.settings.unwrap_or_else(|| panic!("{:?}", loaded.findings))
    };
    let changes = changes(&settings(old), &settings(new));
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let told = |c: &SettingChange| format!("{}: {} > {}", c.key, shown(&c.old), shown(&c.new));
    let restart = changes.iter().filter(|change| change.restart).map(|c| c.key.clone());
    (changes.iter().map(told).collect(), restart.collect())
}

#[test]
fn what_differs_is_told_by_its_meaning_and_secrets_are_not_shown() {
    let (told, restart) = differs("[queue]\nmax_wait = \"60s\"\n", "[queue]\nmax_wait = \"1m\"\n");
    assert_eq!((told.len(), restart.len()), (0, 0), "{told:?}");
    let (told, restart) = differs(
        "[limits]\nper_buyer = \"5/s\"\n[log]\nlevel = \"warn\"\n",
        "[limits]\nper_buyer = \"9/s\"\nper_address_burst = 7\n[log]\nformat = \"json\"\n",
    );
    let expected = [
        "limits.per_address_burst: - > 7",
        "limits.per_buyer: \"5/s\" > \"9/s\"",
        "log.format: \"auto\" > \"json\"",
        "log.level: \"warn\" > \"info\"",
    ];
    assert_eq!(told, expected);
    assert_eq!(restart, ["log.format"]);
    let forward = |url| format!("[identity]\nmode = \"forward\"\nurl = \"http://shop/{url}\"\n");
    let (told, restart) = differs(&forward("secret-1"), &forward("secret-2"));
    assert_eq!(told, ["identity.url: \"***\" > \"***\""]);
    assert!(restart.is_empty());
    let redis = |rest| format!("[ledger]\nengine = \"redis\"\n[ledger.redis]\n{rest}\n");
    let (told, restart) = differs(
        &redis("url = \"redis://:hunter2@a\"\nprefix = \"eu\""),
        &redis("url = \"redis://:hunter3@a\"\nprefix = \"us\"\ntimeout = \"1s\""),
    );
    let expected = [
        "ledger.redis.prefix: \"eu\" > \"us\"",
        "ledger.redis.timeout: \"500ms\" > \"1s\"",
        "ledger.redis.url: \"redis://:***@a:6379\" > \"redis://:***@a:6379\"",
    ];
    assert_eq!(told, expected);
    assert_eq!(restart, ["ledger.redis.prefix", "ledger.redis.timeout", "ledger.redis.url"]);
    let sale =
        |stock| format!("[[sale]]\nname = \"a\"\nitems = [{{ sku = \"b\", stock = {stock} }}]\n");
    let (told, restart) = differs(&sale(1), &sale(2));
    assert!(told.len() == 1 && told[0].starts_with("sale.a: "), "{told:?}");
    assert!(restart.is_empty());
}

#[test]
fn what_is_in_a_file_counts_and_a_ticket_key_never_goes() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let key = |id: u8, byte: u8| {
        let rest = format!("{byte:02x}").repeat(31);
        std::fs::write(path(&format!("key-{id}")), format!("{id}:00{rest}\n")).unwrap();
    };
    let load = |files: &[&str]| {
        let files: Vec<String> = files.iter().map(|name| format!("{:?}", path(name))).collect();
        let tokens = path("tokens");
        let text = format!(
            "[admin]\ntoken_file = {tokens:?}\n[tickets]\nkey_files = [{}]\n",
            files.join(", ")
        );
        load_text(&text).settings.unwrap()
    };
    let told = |old: &Settings, new: &Settings| -> Vec<(String, bool)> {
        changes(old, new).into_iter().map(|change| (change.key, change.restart)).collect()
    };
    let live = |key: &str| vec![(key.to_owned(), false)];
    key(1, 7);
    key(2, 8);
    std::fs::write(path("tokens"), "ann:first\n").unwrap();
    let before = load(&["key-1"]);
    assert_eq!(told(&before, &load(&["key-1"])), []);
    std::fs::write(path("tokens"), "ann:second\n").unwrap();
    let after = load(&["key-1"]);
    let changed = changes(&before, &after);
    assert_eq!(told(&before, &after), live("admin.token_file"));
    assert!(!format!("{changed:?}").contains("second"), "{changed:?}");
    assert_eq!(told(&after, &load(&["key-1", "key-2"])), live("tickets.key_files"));
    let gone = vec![("tickets.key_files".to_owned(), true)];
    assert_eq!(told(&after, &load(&["key-2"])), gone);
    key(1, 9);
    assert_eq!(told(&after, &load(&["key-1"])), gone, "the same id with another secret");
}

#[test]
fn the_manual_lists_what_a_reload_takes_over() {
    let keys = known::keys_of::<Said>();
    for live in LIVE {
        let section = format!("{live}.");
        let known = live == "sale" || keys.iter().any(|k| k == live || k.starts_with(&section));
        assert!(known, "{live} is no key");
    }
    let (_, rest) = MANUAL.split_once("taken over while it serves:\n").unwrap();
    let (list, _) = rest.split_once("# and so is").unwrap();
    let listed: Vec<&str> = list.split([' ', '\n', '#']).filter(|word| !word.is_empty()).collect();
    assert_eq!(listed, LIVE);
}
