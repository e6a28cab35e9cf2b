//! A start that cannot succeed ends with exit 1 and one line: what is wrong, where, and what to do.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use forebay_loadtest::drive::shared;
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::history::History;
use forebay_loadtest::wire::full::FullWire;

use super::rig::{Plant, scale};

#[tokio::test]
async fn a_port_in_use_is_named_and_nothing_is_touched() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    for section in ["public", "admin"] {
        let plant = Plant::new().set(&format!("{section}.listen={taken}"));
        let said = format!("[{section}] listen = \"{taken}\"");
        let words = [said.as_str(), "another process listens there", "choose another port"];
        plant.refused().await.is(1, &words);
        assert!(!plant.ledger().exists() && !plant.store().exists(), "nothing was made");
    }
}

/// Takes the right to write from whoever runs this. Root writes where no bits allow it, so it gives that up.
fn without_rights() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        &["setpriv", "--bounding-set=-dac_override"]
    } else {
        &[]
    }
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named_before_anything_is_served() {
    for name in ["ledger", "store"] {
        let plant = Plant::new();
        let directory = plant.path().join(name);
        let words = [directory.to_str().unwrap(), "must be able to write there"];
        std::fs::create_dir(&directory).unwrap();
        mode(&directory, 0o500);
        plant.refused_behind(without_rights()).await.is(1, &words);
        mode(&directory, 0o700);
        plant.start().await.stop().await.well();
        // Its files could be written, but no new one be made: that would show only in the middle of a sale.
        mode(&directory, 0o500);
        plant.refused_behind(without_rights()).await.is(1, &words);
        mode(&directory, 0o700);
        plant.start().await.stop().await.well();
    }
}

#[tokio::test]
async fn a_path_that_is_no_directory_is_named() {
    for (name, key) in [("ledger", "ledger.embedded"), ("store", "store.simulated")] {
        let plant = Plant::new();
        let file = plant.path().join(name);
        std::fs::write(&file, "not a directory").unwrap();
        let words = [file.to_str().unwrap(), "not a directory"];
        plant.refused().await.is(1, &words);
        let below = file.join("below");
        let plant = plant.set(&format!("{key}.directory={}", below.display()));
        plant.refused().await.is(1, &[below.to_str().unwrap(), "ot a directory"]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a directory");
    }
}

#[tokio::test]
async fn a_ledger_that_another_process_has_open_is_left_to_it() {
    let plant = Plant::new();
    let gateway = plant.start().await;
    gateway.sale("one", 1_000).await;
    let crowd = Crowd::new("lock", 1);
    let history = shared(History::default());
    let drive = gateway.drive(&OrderForm::new("one", "phone", crowd.clone()), 4);
    drive.run::<FullWire, History>(0..50, history.clone()).await;
    let pid = format!("pid {}", gateway.process.pid());
    for _ in 0..2 * scale() {
        let words = [plant.ledger().to_str().unwrap().to_owned(), pid.clone()];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        plant.refused().await.is(1, &[&words[..], &["locked", "stop that process first"]].concat());
    }
    drive.run::<FullWire, History>(50..100, history.clone()).await;
    let evidence = gateway.proves(&crowd, "one", &history).await;
    assert_eq!(evidence.census.unwrap().placed, 100);
}
