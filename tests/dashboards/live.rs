//! What a gateway tells: every series from its start, and nothing that promtool complains of.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use forebay::metrics::{ALL, Kind, Metric};
use forebay_loadtest::admin::Admin;
use forebay_loadtest::call::call;
use forebay_loadtest::drive::{Arrivals, Drive, shared};
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::gateway::{Process, free_address};
use forebay_loadtest::tally::Tally;
use forebay_loadtest::target::Target;
use forebay_loadtest::wire::lean::LeanWire;
use hyper::Method;
use serde_json::json;
use tempfile::TempDir;

use super::promtool;

const SOON: Duration = Duration::from_secs(60);

/// Only there in the mode of identity that they are of.
const OF_A_MODE: &str = "forebay_identity_";

struct Gateway {
    _process: Process,
    _directory: TempDir,
    public: Target,
    admin: Admin,
}

impl Gateway {
    async fn start() -> Self {
        let directory = TempDir::with_prefix("forebay-seen-").unwrap();
        let (public, admin) = (free_address().unwrap(), free_address().unwrap());
        let settings = format!(
            "[public]\nlisten = \"{public}\"\n[admin]\nlisten = \"{admin}\"\n\
             [[sale]]\nname = \"demo\"\nitems = [{{ sku = \"phone\", stock = 3 }}]\nlimit_per_buyer = 1\n"
        );
        std::fs::write(directory.path().join("forebay.toml"), settings).unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_forebay"));
        let arguments = ["serve", "--config", "forebay.toml"];
        let mut process = Process::start(binary, &arguments, directory.path(), &[]).unwrap();
        let public = Target::from(public);
        process.ready(&public, SOON).await.unwrap();
        let admin = Admin::new(Target::from(admin), None);
        Self { _process: process, _directory: directory, public, admin }
    }

    async fn told(&self) -> String {
        self.admin.metrics_text().await.unwrap()
    }

    /// Every series, once they are as they should be: the drain learns of a sale by the tail.
    async fn series(&self, as_they_should: impl Fn(&BTreeSet<String>) -> bool) -> BTreeSet<String> {
        let looking = async {
            loop {
                let series = series(&self.told().await);
                if as_they_should(&series) {
                    return series;
                }
            }
        };
        tokio::time::timeout(SOON, looking).await.expect("the series come, or go")
    }

    /// A sale with orders that are accepted, over the limit and sold out, of buyers and of nobody; reads of what is
    /// there and of what is not; and an operator's look.
    async fn sell(&self, sale: &str) {
        let buyers = Drive {
            target: self.public.clone(),
            form: OrderForm::new(sale, "phone", Crowd::new("seen", 2)),
            connections: 2,
            arrivals: Arrivals::WhenFree,
            patience: SOON,
            late_after: SOON,
        };
        buyers.run::<LeanWire, Tally>(0..20, shared(Tally::default())).await;
        let one = json!({"lines": [{"sku": "phone", "quantity": 1}]});
        for path in [format!("/v1/sales/{sale}/orders"), "/v1/sales/no/orders".to_owned()] {
            call(&self.public, Method::POST, &path, None, Some(&one)).await.unwrap();
        }
        for path in
            ["/v1/sales", "/v1/tickets/none", "/v1/tickets/none/events", "/nowhere", "/readyz"]
        {
            for method in [Method::GET, Method::DELETE, Method::PUT] {
                call(&self.public, method, path, None, None).await.unwrap();
            }
        }
        self.admin.verify().await.unwrap();
    }
}

/// Names and labels of every sample, without values.
fn series(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

/// Metrics of the table that have no series.
fn missing<'a>(table: impl Iterator<Item = &'a Metric>, series: &BTreeSet<String>) -> Vec<&'a str> {
    let there = |metric: &Metric| {
        let name = match metric.kind {
            Kind::Histogram(_) => format!("{}_count", metric.name),
            Kind::Counter | Kind::Gauge => metric.name.to_owned(),
        };
        series.iter().any(|one| one.split('{').next() == Some(&name))
    };
    table.filter(|metric| !there(metric)).map(|metric| metric.name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_series_is_there_from_the_start_and_promtool_is_content() {
    let gateway = Gateway::start().await;
    let table = || ALL.iter().filter(|metric| !metric.name.starts_with(OF_A_MODE));
    let before = gateway.series(|series| missing(table(), series).is_empty()).await;
    let unknown = Metric { name: "forebay_unheard_of", ..ALL[0] };
    assert_eq!(missing([unknown].iter(), &before), ["forebay_unheard_of"], "and it would be seen");

    gateway.sell("demo").await;
    let text = gateway.told().await;
    let made: Vec<String> = series(&text).difference(&before).cloned().collect();
    assert!(made.is_empty(), "made on first use:\n{}", made.join("\n"));
    let said = promtool(&["check", "metrics"], &text).unwrap_or_else(|said| panic!("{said}"));
    assert_eq!(said, "", "promtool complains");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_brings_its_series_and_takes_them_with_it() {
    let gateway = Gateway::start().await;
    let of = |series: &BTreeSet<String>, sale: &str| {
        let label = format!("sale=\"{sale}\"");
        ["forebay_order_completion_seconds", "forebay_admissions_total", "forebay_stock_units"]
            .iter()
            .all(|name| series.iter().any(|one| one.starts_with(name) && one.contains(&label)))
    };
    let before = gateway.series(|series| of(series, "demo")).await;
    let mut skus: Vec<_> =
        (0..150).map(|n| json!({"sku": format!("sku-{n:03}"), "stock": 2})).collect();
    skus.push(json!({"sku": "phone", "stock": 3}));
    gateway.admin.put_sale("next", &json!({"items": skus})).await.unwrap();
    let with_sale = gateway.series(|series| of(series, "next")).await;
    let of_sale = with_sale.difference(&before).count();
    assert!(of_sale >= 300, "{of_sale} series of a sale with 151 skus");
    let text = gateway.told().await;
    let rest = "forebay_stock_units{sale=\"next\",sku=\"(other)\",state=\"available\"} 103";
    assert!(text.contains(rest), "{rest}: 50 skus of 2, and the phones");

    gateway.sell("next").await;
    let now = series(&gateway.told().await);
    assert_eq!(now.difference(&with_sale).count(), 0, "all were there when it was made");
    gateway.admin.close("next").await.unwrap();
    let settled = |census: &forebay_loadtest::admin::Census| census.unsettled() == 0;
    gateway.admin.census_until("next", SOON, settled).await.unwrap();
    gateway.admin.switch("next", "purge").await.unwrap();
    gateway.series(|series| series.difference(&before).count() == 0).await;
}
