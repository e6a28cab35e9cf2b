//! What an accepted order takes from the allocator, counted over the whole process: HTTP, admission, lane, book,
//! journal, tail and metrics.
//!
//! The gateway that is counted is this binary, started again with an allocator that counts. A debug build makes the
//! same calls as a release build. Two runs differ in orders alone, so what connections and start take cancels out.

use std::path::Path;
use std::time::Duration;

use forebay_loadtest::drive::{Arrivals, Drive, look, shared};
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::gateway::Process;
use forebay_loadtest::tally::Tally;
use forebay_loadtest::target::Target;
use forebay_loadtest::wire::lean::LeanWire;

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

const SETTINGS: &str = "FOREBAY_ALLOCATIONS_SETTINGS";
/// Blocks that an accepted order takes, at most. Change it with the reason in the commit.
const BLOCKS_MAX: f64 = 20.0;
const FEW: u64 = 1_000;
const MANY: u64 = 6_000;
const WITHIN: Duration = Duration::from_secs(60);

#[test]
#[ignore = "the child of the test beside it"]
fn the_gateway_that_is_counted() {
    // Run by hand it has nothing to serve.
    let Some(settings) = std::env::var_os(SETTINGS) else { return };
    let _counting = dhat::Profiler::builder().testing().build();
    let arguments = ["forebay", "serve", "--config"].map(Into::into);
    let _code = forebay::cli::main(arguments.into_iter().chain([settings]));
    println!("blocks {}", dhat::HeapStats::get().total_blocks);
}

/// Blocks that a gateway takes in its life, in which it accepts so many orders.
async fn blocks(orders: u64) -> u64 {
    let home = tempfile::tempdir().expect("a directory");
    let settings = home.path().join("forebay.toml");
    std::fs::write(
        &settings,
        "[public]\nlisten = \"127.0.0.1:0\"\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [drain]\nrate = \"1/s\"\n\n[queue]\nmax_wait = \"1000h\"\n\n[log]\nlevel = \"warn\"\n\n\
         [[sale]]\nname = \"counted\"\nitems = [{ sku = \"phone\", stock = 1000000 }]\n",
    )
    .expect("settings are written");
    let mut process = child(&settings, home.path());
    let listens = |text: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix("orders  http://"))?;
        line.trim().parse().ok()
    };
    let address: std::net::SocketAddr = process.printed(WITHIN, listens).await.expect("it listens");
    let target = Target::from(address);
    process.ready(&target, WITHIN).await.expect("it is ready");
    let crowd = Crowd::new("counted", 1);
    let drive = Drive {
        target,
        form: OrderForm::new("counted", "phone", crowd).with_payload_of_100_bytes(),
        connections: 64,
        arrivals: Arrivals::WhenFree,
        patience: WITHIN,
        late_after: WITHIN,
    };
    let tally = shared(Tally::default());
    drive.run::<LeanWire, Tally>(0..orders, tally.clone()).await;
    assert_eq!(look(&tally).with_status(202), orders, "every order is accepted");
    process.stop(WITHIN).await.expect("it stops");
    let told = |text: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix("blocks "))?;
        line.trim().parse().ok()
    };
    process.printed(WITHIN, told).await.expect("it says what it counted")
}

fn child(settings: &Path, home: &Path) -> Process {
    let binary = std::env::current_exe().expect("this binary has a path");
    let arguments = ["--ignored", "--exact", "--nocapture", "the_gateway_that_is_counted"];
    let settings = settings.to_string_lossy().into_owned();
    Process::start(&binary, &arguments, home, &[(SETTINGS, settings)]).expect("it starts")
}

#[tokio::test]
async fn an_accepted_order_takes_few_blocks() {
    let (few, many) = (blocks(FEW).await, blocks(MANY).await);
    #[expect(clippy::cast_precision_loss, reason = "counts of a test")]
    let each = many.saturating_sub(few) as f64 / (MANY - FEW) as f64;
    println!("{each:.1} blocks an accepted order");
    assert!(each <= BLOCKS_MAX, "an accepted order takes {each:.1} blocks, {BLOCKS_MAX} at most");
    // With fewer than what its answer alone takes nothing was counted.
    assert!(each >= 1.0, "only {each:.1} blocks were counted");
}
