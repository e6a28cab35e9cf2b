//! Slow clients: slowhttptest holds thousands of connections open by heads, bodies and answers that never end,
//! and meanwhile every other buyer is served. Then the gateway runs out of descriptors, and neither spins nor
//! falls over.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use hyper::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{Checks, Scale};
use crate::call::call;
use crate::clock;
use crate::cpu::cpu_time;
use crate::form::{Crowd, OrderForm};
use crate::gateway::Process;
use crate::plant::Plant;
use crate::report;
use crate::target::Target;
use crate::wire::full::FullWire;
use crate::wire::{Answer, Wire};

const SALE: &str = "slow";
const SKU: &str = "phone";
/// Between two buyers who come by while the attack lasts.
const BUYER_EVERY: Duration = Duration::from_millis(100);
/// A buyer who waits longer was not served.
const SERVED_WITHIN: Duration = Duration::from_secs(2);

/// How much of an attack.
#[derive(Debug, Clone, Copy)]
struct Size {
    connections: u32,
    a_second: u32,
    seconds: u64,
}

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let small = Size { connections: 300, a_second: 200, seconds: 8 };
    let full = Size { connections: 2_000, a_second: 500, seconds: 60 };
    let size = scale.pick(small, full);
    // The attacker's bodies are one buyer's, and must not be refused by their heads.
    let settings = vec![("FOREBAY_LIMITS__PER_BUYER", "off".to_owned())];
    let plant = Plant::start_with(binary, "1000/s", settings).await?;
    plant.admin.create_sale(SALE, SKU, 1_000_000, None).await?;
    plant.phase(SALE, "open").await?;
    for (what, mode) in [("heads", "-H"), ("bodies", "-B"), ("reads", "-X")] {
        attack(&plant, size, what, mode, checks).await?;
    }
    let size = Size { connections: 200, ..size };
    descriptors(&plant, size, checks).await
}

/// One mode of slowhttptest, with buyers coming by until it ends.
async fn attack(
    plant: &Plant,
    size: Size,
    what: &str,
    mode: &str,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let mut attacker = slowhttptest(&plant.public, size, mode)?;
    let longest = Duration::from_secs(size.seconds + 30);
    let mut buyers = interval(BUYER_EVERY);
    buyers.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut served, mut missed, mut slowest) = (0, 0, Duration::ZERO);
    let until = clock::now() + longest;
    while attacker.is_running()? {
        ensure!(clock::now() < until, "slowhttptest does not end:\n{}", attacker.text().await);
        buyers.tick().await;
        let began = clock::now();
        match timeout(SERVED_WITHIN, buy(&plant.public, what, served + missed)).await {
            Ok(Ok(())) => served += 1,
            _ => missed += 1,
        }
        slowest = slowest.max(began.elapsed());
    }
    let said = plain(&attacker.text().await);
    let availability: Vec<&str> = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("service available:"))
        .map(str::trim)
        .collect();
    for line in closing(&said) {
        report::row(&format!("slowhttptest {mode}"), line);
    }
    let always = !availability.is_empty() && availability.iter().all(|answer| *answer == "YES");
    checks.promise(
        always,
        format_args!(
            "slow {what}: {} of {} connections, service available {availability:?}",
            most(&said),
            size.connections
        ),
    );
    checks.promise(
        missed == 0 && served >= 20,
        format_args!("slow {what}: {served} buyers served meanwhile, {missed} not, the slowest after {slowest:.0?}"),
    );
    Ok(())
}

fn slowhttptest(target: &Target, size: Size, mode: &str) -> anyhow::Result<Process> {
    let Size { connections, a_second, seconds } = size;
    let path =
        if mode == "-B" { format!("/v1/sales/{SALE}/orders") } else { "/v1/sales".to_owned() };
    let mut arguments: Vec<String> = vec![
        mode.to_owned(),
        format!("-c {connections}"),
        format!("-r {a_second}"),
        format!("-l {seconds}"),
        "-i 1".to_owned(),
        "-p 3".to_owned(),
        format!("-uhttp://{}{path}", target.host),
    ];
    match mode {
        // The body is only read for a buyer who may order: the field for what he accepts brings his name too.
        "-B" => arguments.extend([
            "-s 8000".to_owned(),
            "-x 10".to_owned(),
            "-fapplication/json".to_owned(),
            "-m*/*\r\nX-Buyer-Id: slow".to_owned(),
        ]),
        "-X" => arguments.extend(["-w 10", "-y 20", "-n 5", "-z 32", "-k 3"].map(str::to_owned)),
        _ => arguments.push("-x 24".to_owned()),
    }
    // It needs a descriptor for each connection.
    let script = "ulimit -n \"$(ulimit -Hn)\"; exec slowhttptest \"$@\"";
    let mut line = vec!["-c".to_owned(), script.to_owned(), "slowhttptest".to_owned()];
    line.append(&mut arguments);
    Process::start(Path::new("sh"), &line, Path::new("/"), &[])
        .context("slowhttptest cannot be started: `./test` installs it")
}

/// Its output without colours.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

/// What it says at its end.
fn closing(said: &str) -> Vec<&str> {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let last: Vec<&str> = lines.collect();
    let from = last.iter().rposition(|line| line.starts_with("initializing")).unwrap_or(0);
    last.get(from..).unwrap_or_default().to_vec()
}

/// The most connections that were open when it looked.
fn most(said: &str) -> u32 {
    let of = |line: &str| line.trim().strip_prefix("connected:")?.trim().parse().ok();
    said.lines().filter_map(of).max().unwrap_or(0)
}

/// A buyer with a connection of his own: an order, taken.
async fn buy(target: &Target, wave: &str, number: u64) -> anyhow::Result<()> {
    let form = OrderForm::new(SALE, SKU, Crowd::new(format!("buyer-{wave}"), 1));
    let mut wire = FullWire::connect(target, &form).await?;
    if wire.exchange(number).await.is_err() {
        bail!("no answer");
    }
    let Answer { status, .. } = wire.answer();
    ensure!(status == 202, "status {status}");
    Ok(())
}

/// Takes the descriptors away from a running gateway, knocks, looks at what it does, and gives them back.
async fn descriptors(plant: &Plant, size: Size, checks: &mut Checks) -> anyhow::Result<()> {
    let pid = plant.process.pid();
    let spare = 4;
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    let hard = limit(pid, open + spare).await?;
    let mut knocking = Vec::new();
    for _ in 0..size.connections {
        let mut stream = TcpStream::connect(plant.public.address).await?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n").await?;
        knocking.push(stream);
    }
    let before = cpu_time(&[pid])?;
    let watched = Duration::from_secs(2);
    sleep(watched).await;
    let spent = cpu_time(&[pid])?.saturating_sub(before);
    checks.promise(
        spent < watched / 10,
        format_args!(
            "out of descriptors for {watched:?}: {spent:?} of CPU spent, {} clients waiting",
            knocking.len()
        ),
    );
    limit(pid, hard).await?;
    let mut served = 0;
    for stream in &mut knocking {
        let mut answer = [0; 12];
        let read = timeout(Duration::from_secs(10), stream.read_exact(&mut answer)).await;
        served += usize::from(matches!(read, Ok(Ok(_))) && answer.ends_with(b"200"));
    }
    let ready = call(&plant.public, Method::GET, "/readyz", None, None).await?.status;
    checks.promise(
        served == knocking.len() && ready == 200,
        format_args!(
            "descriptors given back: {served} of {} clients served, readyz {ready}",
            knocking.len()
        ),
    );
    Ok(())
}

/// Sets how many descriptors a process may have, and says how many it might have before.
async fn limit(pid: u32, descriptors: usize) -> anyhow::Result<usize> {
    let prlimit = |arguments: Vec<String>| async move {
        let output = Command::new("prlimit").args(&arguments).kill_on_drop(true).output().await;
        let output = output.context("prlimit (util-linux) cannot be run")?;
        ensure!(output.status.success(), "prlimit {arguments:?}: {output:?}");
        anyhow::Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let process = format!("--pid={pid}");
    let before = prlimit(vec![
        process.clone(),
        "--nofile".to_owned(),
        "--output=SOFT".to_owned(),
        "--noheadings".to_owned(),
    ]);
    let before = before.await?.parse().context("prlimit tells no number")?;
    prlimit(vec![process, format!("--nofile={descriptors}:")]).await?;
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::{closing, most, plain};

    #[test]
    fn the_report_is_read_without_its_colours() {
        let text = "\u{1b}[1minitializing:  \u{1b}[0m 0\nconnected: 7\n\u{1b}[32mservice available:\u{1b}[0m YES\n\ninitializing: 0\nconnected: 5\nExit status: x\n";
        let said = plain(text);
        assert!(said.contains("service available: YES"), "{said}");
        assert_eq!(most(&said), 7);
        assert_eq!(closing(&said), ["initializing: 0", "connected: 5", "Exit status: x"]);
    }
}
