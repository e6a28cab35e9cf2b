//! `forebay doctor` before the sale, on a machine that is well and on one that is not; completions and the manual.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::rig::Plant;

/// What the doctor says of one thing, by its name.
pub(crate) struct Seen {
    pub(crate) code: Option<i32>,
    pub(crate) checks: Vec<Value>,
}

impl Seen {
    pub(crate) async fn of(plant: &Plant) -> Self {
        let output = plant.run(&["doctor", "--json"]).await;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap().clone();
        let failed = checks.iter().any(|check| check["grade"] == "fail");
        assert_eq!(report["ok"], !failed);
        for check in &checks {
            let todo = check["advice"].as_str().unwrap().is_empty();
            assert_eq!(todo, check["grade"] == "ok", "what is wrong says what to do: {check}");
        }
        Self { code: output.status.code(), checks }
    }

    /// That one of the checks of this name stands so and says this.
    pub(crate) fn is(&self, name: &str, grade: &str, word: &str) {
        let named = self.checks.iter().filter(|check| check["check"] == name);
        let said = |check: &Value| format!("{} {}", check["found"], check["advice"]).contains(word);
        let mut named = named.filter(|check| check["grade"] == grade && said(check));
        assert!(named.next().is_some(), "{name} {grade} {word}: {:#?}", self.checks);
    }
}

#[tokio::test]
async fn a_machine_that_is_well_passes_and_nothing_is_left_behind() {
    let plant = Plant::new().set("public.limits.connections=100").set("queue.capacity=1000");
    let seen = Seen::of(&plant).await;
    assert_eq!(seen.code, Some(0), "{:#?}", seen.checks);
    for (name, word) in [
        ("settings", "no mistakes"),
        ("descriptors", "may be open"),
        ("public port", "is free"),
        ("admin port", "is free"),
        ("ledger directory", "can be made"),
        ("store directory", "free at"),
        ("ledger", "none yet"),
        ("store", "none yet"),
    ] {
        seen.is(name, "ok", word);
    }
    assert_eq!(std::fs::read_dir(plant.path()).unwrap().count(), 0, "it looks and leaves nothing");
    let plain = plant.run(&["doctor"]).await;
    let text = String::from_utf8(plain.stdout).unwrap();
    assert!(text.contains("ok    fdatasync") || text.contains("warn  fdatasync"), "{text}");
}

#[tokio::test]
async fn a_gateway_at_work_is_no_fault_and_a_ledger_is_read_after_it() {
    let plant = Plant::new();
    let gateway = plant.start().await;
    gateway.sale("one", 5).await;
    let fixed =
        [format!("public.listen={}", gateway.public), format!("admin.listen={}", gateway.admin)];
    let busy = plant.clone().set(&fixed[0]).set(&fixed[1]);
    let seen = Seen::of(&busy).await;
    assert_eq!(seen.code, Some(0), "{:#?}", seen.checks);
    seen.is("ledger", "ok", &format!("pid {}", gateway.process.pid()));
    seen.is("public port", "ok", "is taken");
    seen.is("fdatasync", "ok", "not measured");
    gateway.stop().await.well();
    let file = plant.path().join("forebay.toml");
    let terms = "[[sale]]\nname = \"one\"\nitems = [{ sku = \"phone\", stock = 6 }]\n";
    std::fs::write(&file, terms).unwrap();
    let plant = plant.variable("FOREBAY_CONFIG", file.display().to_string());
    let seen = Seen::of(&plant).await;
    seen.is("ledger", "ok", "2 sales, 0 orders waiting");
    seen.is("sales", "warn", "`one` and the ledger differ");
    seen.is("store", "ok", "simulated, in");
    plant.start().await.stop().await.well();
}

#[tokio::test]
async fn what_is_wrong_is_named_and_the_exit_code_says_whose_fault_it_is() {
    let plant = Plant::new().set("queue.max_wait=soon");
    let seen = Seen::of(&plant).await;
    assert_eq!(seen.code, Some(3));
    seen.is("settings", "fail", "a duration is written like");

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let plant = Plant::new().set(&format!("public.listen={taken}"));
    std::fs::write(plant.ledger(), "no directory").unwrap();
    let seen = Seen::of(&plant).await;
    assert_eq!(seen.code, Some(1));
    seen.is("public port", "fail", "another process listens there");
    seen.is("ledger directory", "fail", "is not a directory");
    drop(other);

    let plant = Plant::new()
        .set("identity.mode=forward")
        .set(&format!("identity.url=http://{taken}/whoami"))
        .set("ledger.embedded.snapshot_after=4096GiB");
    std::fs::create_dir(plant.store()).unwrap();
    std::fs::set_permissions(plant.store(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(plant.store().join("store.sqlite"), "no database, by far").unwrap();
    let seen = Seen::of(&plant).await;
    assert_eq!(seen.code, Some(4), "{:#?}", seen.checks);
    seen.is("store", "fail", "store.sqlite");
    seen.is("store directory", "warn", "chmod 700");
    seen.is("identity", "fail", &taken);
    seen.is("ledger directory", "fail", "make room");
    let text = String::from_utf8(plant.run(&["doctor"]).await.stdout).unwrap();
    assert!(text.contains("FAIL  store") && text.contains("things to put right"), "{text}");
}

#[tokio::test]
async fn completions_and_manual_know_the_commands() {
    let plant = Plant::bare();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = plant.run(&["completions", shell]).await;
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("doctor"), "{shell}: {script}");
    }
    for (words, said) in [
        (&["man"][..], &[".TH forebay 1", "doctor"][..]),
        (&["man", "sale", "put"], &[".TH forebay-sale-put 1", "admit"]),
    ] {
        let output = plant.run(words).await;
        let page = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{words:?}");
        assert!(said.iter().all(|word| page.contains(word)), "{words:?}: {page}");
    }
    let unknown = plant.run(&["man", "sale", "burn"]).await;
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(said.contains("no command `burn`: one of list, show, put"), "{said}");
    assert_eq!(plant.run(&["completions", "nonsense"]).await.status.code(), Some(2));
}
