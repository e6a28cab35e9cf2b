//! The command line against a gateway that stands still, one that is asked at the wrong port, and options that clash.

use std::process::Output;

use rustix::process::Signal;

use super::rig::Plant;

/// That it ended with this code, and said this on one stream or the other.
fn is(output: &Output, code: i32, words: &[&str]) {
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

#[tokio::test]
async fn a_gateway_that_stands_still_is_told() {
    let plant = Plant::new();
    let gateway = plant.start().await;
    let fixed =
        [format!("public.listen={}", gateway.public), format!("admin.listen={}", gateway.admin)];
    let busy = plant.clone().set(&fixed[0]).set(&fixed[1]);
    is(&busy.run(&["doctor"]).await, 0, &["is taken; a gateway is at work here and is ready"]);
    gateway.signal(Signal::STOP);
    let (bare, url) = (Plant::bare(), format!("http://{}", gateway.admin));
    let (list, put, verify) = (
        ["sale", "list", "--admin", &url],
        ["sale", "put", "one", "--item", "phone=1", "--admin", &url],
        ["verify", "--admin", &url],
    );
    let (doctor, list, put, verify) =
        tokio::join!(busy.run(&["doctor"]), bare.run(&list), bare.run(&put), bare.run(&verify));
    is(&doctor, 1, &["FAIL  public port", "FAIL  admin port", "does not answer", "see its log"]);
    for output in [list, put, verify] {
        is(&output, 4, &[&gateway.admin.to_string(), "does not answer"]);
    }
    gateway.signal(Signal::CONT);
    gateway.stop().await.well();
}

#[tokio::test]
async fn the_public_listener_is_not_taken_for_the_admin_s() {
    let plant = Plant::new();
    let gateway = plant.start().await;
    let (bare, url) = (Plant::bare(), format!("http://{}", gateway.public));
    let put = ["sale", "put", "one", "--item", "phone=1"];
    let set = ["drain", "set", "--rate", "5/s"];
    for words in [&["sale", "list"][..], &["verify"], &put, &set] {
        let output = bare.run(&[words, &["--admin", &url]].concat()).await;
        is(&output, 1, &[&url, "is not an admin listener"]);
    }
    gateway.stop().await.well();
}

#[tokio::test]
async fn no_option_is_taken_and_ignored() {
    let bare = Plant::bare();
    let there = bare.path().join("forebay.toml");
    std::fs::write(&there, "").unwrap();
    let file = there.to_str().unwrap();
    for words in [
        &["verify", "--config", file][..],
        &["verify", "--set", "log.level=warn"],
        &["verify", "--offline", "--admin", "http://127.0.0.1:9"],
        &["verify", "--offline", "--token-file", file],
        &["check", file, "--config", file],
        &["drain", "set"],
    ] {
        is(&bare.run(words).await, 2, &["Usage: forebay"]);
    }
    is(&bare.run(&["drain", "set"]).await, 2, &["<--rate <RATE>|--burst <N>>"]);
    is(&bare.run(&["check", "--config", file]).await, 0, &["MiB, with a full [queue]", "ok"]);
    is(&bare.run(&["check", file]).await, 0, &["ok"]);
    // What the environment says is for the commands that it concerns.
    let named = bare.variable("FOREBAY_CONFIG", file).variable("FOREBAY_ADMIN_URL", "http://a");
    is(&named.run(&["check"]).await, 0, &["ok"]);
    is(&named.run(&["drain", "set"]).await, 2, &["Usage: forebay drain set <--rate"]);
    let missing = format!("ledger.embedded.directory={}", named.path().join("none").display());
    let nowhere = named.run(&["verify", "--offline", "--set", &missing]).await;
    is(&nowhere, 1, &["there is no ledger at", "[ledger.embedded] directory or --config"]);
}

#[tokio::test]
async fn settings_that_are_not_there_are_told_with_the_way_out() {
    let bare = Plant::bare();
    let doctor = bare.run(&["doctor", "--config", "/nowhere.toml"]).await;
    is(&doctor, 3, &["/nowhere.toml: No such file", "see --config, FOREBAY_CONFIG"]);
    let serve = bare.run(&["serve", "--config", "/nowhere.toml"]).await;
    is(&serve, 3, &["1 mistake in the settings"]);
    let typo = bare.variable("FOREBAY_DRAIN__RAT", "1/s");
    is(
        &typo.run(&["check"]).await,
        3,
        &["FOREBAY_DRAIN__RAT: names no setting: did you mean `rate`?"],
    );
}
