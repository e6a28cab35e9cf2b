//! `forebay drain …`.

use hyper::Method;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::args::Admin;
use super::args::Drain;
use super::args::Pace;
use super::client::Client;
use super::exit::Outcome;
use super::ticket::told;

const DRAIN: &str = "/admin/v1/drain";

pub(super) fn run(what: Drain) -> Outcome {
    match what {
        Drain::Show(show) => {
            let answer = Client::new(&show.admin)?.get(DRAIN)?;
            told(&show.admin, &answer.text, &answer.value)
        }
        Drain::Set { pace: Pace { rate, burst }, admin } => {
            let mut patch = Map::new();
            if let Some(rate) = rate {
                patch.insert("rate".to_owned(), json!(rate.0));
            }
            if let Some(burst) = burst {
                patch.insert("burst".to_owned(), json!(burst.0));
            }
            change(&admin, &Value::Object(patch))
        }
        Drain::Pause(show) => change(&show.admin, &json!({"paused": true})),
        Drain::Resume(show) => change(&show.admin, &json!({"paused": false})),
    }
}

fn change(admin: &Admin, patch: &Value) -> Outcome {
    let answer = Client::new(admin)?.change(Method::PATCH, DRAIN, patch)?;
    told(admin, &answer.text, &answer.value)
}
