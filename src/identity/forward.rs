//! Mode `forward`: the shop is asked who a cookie or an authorization belongs to.
//!
//! Sales begin with a burst of credentials that nobody has seen yet, and bots send more. So an answer is
//! remembered, at most one question about a credential is under way, and how many there are at once and in a
//! second is bounded; what goes beyond is refused at once and may come back.

mod backend;
mod pace;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backend::Backend;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Uri};
use pace::Pace;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::meters::{Answered, ForwardMeters, Lookup};
use super::remembered::{Digest, Remembered, digest};
use super::{Refusal, Who};
use crate::clock::{SharedClock, micros};
use crate::order::Buyer;
use crate::sale::Rate;
use crate::tasks::{Check, CheckStatus};

/// The longest credential: what browsers and shops keep to.
const CREDENTIAL_MAX: usize = 8 << 10;
/// Questions that are under way or wait for their turn, at most: 32 MiB of the largest credentials.
const ASKED_MAX: usize = 4_096;
/// Buyers that are remembered, at least.
const BUYERS: usize = 65_536;
/// Credentials that are nobody's and are remembered, at least. They have a memory of their own, so that many of
/// them do not push buyers out.
const NOBODIES: usize = 16_384;
/// How long nobody stays nobody: he may log in meanwhile and keep his cookie.
const NOBODY: Duration = Duration::from_secs(2);
/// The rest of an answer that is read, so that its connection can be used again.
const REST_MAX: usize = 64 << 10;
/// Between two lines of the log about a shop that fails and comes back.
const QUIET: Duration = Duration::from_secs(10);

/// What is asked, and how much.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Where.
    pub url: Uri,
    /// The header of the answer that names the buyer.
    pub header: HeaderName,
    /// How long an answer is remembered.
    pub cache: Duration,
    /// Questions in a second.
    pub rate: Rate,
    /// Questions under way at once.
    pub max_in_flight: usize,
    /// How long one question may take, and at most how long it may wait for its turn before.
    pub timeout: Duration,
}

/// The headers by which the shop knows its buyers.
#[derive(Clone, Debug)]
struct Credential {
    digest: Digest,
    /// Copies: the originals would keep the whole head of the request in memory.
    cookies: Vec<HeaderValue>,
    authorization: Option<HeaderValue>,
}

impl Credential {
    /// `None` when there is none, or none that can be told from another.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut authorizations = headers.get_all(AUTHORIZATION).iter();
        let authorization = authorizations.next();
        let cookies = headers.get_all(COOKIE);
        let all = || authorization.into_iter().chain(&cookies);
        let size: usize = all().map(HeaderValue::len).sum();
        if size == 0 || size > CREDENTIAL_MAX || authorizations.next().is_some() {
            return None;
        }
        // Where the authorization ends and the cookies begin is part of what is told apart.
        let none = HeaderValue::from_static("");
        let parts = std::iter::once(authorization.unwrap_or(&none)).chain(&cookies);
        let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        Some(Self {
            digest: digest(parts),
            cookies: cookies.iter().filter_map(copy).collect(),
            authorization: authorization.and_then(copy),
        })
    }
}

/// What the shop said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Buyer(Buyer),
    Nobody,
    /// Nothing that counts; why.
    Failed(Failure),
}

impl Verdict {
    fn counted(&self) -> Answered {
        match self {
            Self::Buyer(_) => Answered::Buyer,
            Self::Nobody => Answered::Nobody,
            Self::Failed(Failure::Crowded) => Answered::Crowded,
            Self::Failed(Failure::TimedOut) => Answered::TimedOut,
            Self::Failed(_) => Answered::Failed,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// There were too many questions before this one: it was not asked.
    Crowded,
    TimedOut,
    NoConnection,
    /// Another status than 200, 401 or 403.
    Status(u16),
    /// 200 without one good header.
    NoBuyer,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Crowded => f.write_str("too many questions to the shop"),
            Self::TimedOut => f.write_str("the shop did not say in time who a buyer is"),
            Self::NoConnection => f.write_str("the shop cannot be reached at identity.url"),
            Self::Status(code) => write!(f, "the shop answered {code} at identity.url"),
            Self::NoBuyer => f.write_str("the shop answered 200 without one good identity.header"),
        }
    }
}

/// The rest of an answer, and the place among the questions under way that it still takes.
type Rest = (Incoming, OwnedSemaphorePermit);

type Answer = watch::Receiver<Option<Verdict>>;

/// Asks the shop.
#[derive(Clone, Debug)]
pub(super) struct Forward {
    shared: Arc<Shared>,
    runtime: Handle,
}

#[derive(Debug)]
struct Shared {
    backend: Backend,
    question: Question,
    clock: SharedClock,
    state: Mutex<State>,
    in_flight: Arc<Semaphore>,
    trouble: Mutex<Trouble>,
    meters: ForwardMeters,
}

#[derive(Debug)]
struct State {
    buyers: Remembered<Buyer>,
    nobodies: Remembered<()>,
    asked: HashMap<Digest, Answer>,
    pace: Pace,
}

impl Forward {
    /// Questions run on `runtime`, so that they do not end with the buyer who asked first.
    pub(super) fn new(question: Question, clock: SharedClock, runtime: Handle) -> Self {
        let state = State {
            buyers: Remembered::new(BUYERS),
            nobodies: Remembered::new(NOBODIES),
            asked: HashMap::new(),
            pace: Pace::new(question.rate),
        };
        let shared = Shared {
            backend: Backend::new(&question),
            in_flight: Arc::new(Semaphore::new(question.max_in_flight)),
            question,
            clock,
            state: Mutex::new(state),
            trouble: Mutex::default(),
            meters: ForwardMeters::new(),
        };
        Self { shared: Arc::new(shared), runtime }
    }

    /// The buyer if he is remembered; the shop is not asked.
    pub(super) fn remembered(&self, headers: &HeaderMap) -> Option<Buyer> {
        let credential = Credential::of(headers)?;
        let now = micros(self.shared.clock.monotonic());
        self.shared.state().buyers.get(&credential.digest, now).cloned()
    }

    /// The buyer, from memory or by asking.
    pub(super) fn who(&self, headers: &HeaderMap) -> Who {
        let Some(credential) = Credential::of(headers) else {
            return Who::Refused(Refusal::UNKNOWN);
        };
        let now = micros(self.shared.clock.monotonic());
        let meters = &self.shared.meters;
        let mut state = self.shared.state();
        if let Some(buyer) = state.buyers.get(&credential.digest, now) {
            meters.lookup(Lookup::Remembered);
            return Who::Known(buyer.clone());
        }
        if state.nobodies.get(&credential.digest, now).is_some() {
            meters.lookup(Lookup::Remembered);
            return Who::Refused(Refusal::UNKNOWN);
        }
        if let Some(answer) = state.asked.get(&credential.digest) {
            meters.lookup(Lookup::Joined);
            return Who::Asking(told(answer.clone()));
        }
        let room = state.asked.len() < ASKED_MAX;
        let turn =
            room.then(|| state.pace.turn(now, micros(self.shared.question.timeout))).flatten();
        let Some(turn) = turn else {
            meters.lookup(Lookup::Refused);
            return Who::Refused(Refusal::Unavailable);
        };
        let (tell, answer) = watch::channel(None);
        state.asked.insert(credential.digest, answer.clone());
        drop(state);
        meters.lookup(Lookup::Asked);
        let asked = Asked { shared: Arc::clone(&self.shared), digest: credential.digest };
        self.runtime.spawn(asked.ask(credential, Duration::from_micros(turn), tell));
        Who::Asking(told(answer))
    }

    /// Orders of buyers who are remembered go on, so this never is more than a degradation.
    pub(super) fn check(&self) -> Check {
        let trouble = {
            let trouble = self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            trouble.failure
        };
        let status = if trouble.is_some() { CheckStatus::Degraded } else { CheckStatus::Ready };
        let reason = trouble.map(|failure| failure.to_string()).unwrap_or_default();
        Check { name: "identity", status, reason }
    }
}

/// Waits for the answer of a question that somebody asks.
fn told(mut answer: Answer) -> BoxFuture<'static, Result<Buyer, Refusal>> {
    Box::pin(async move {
        let verdict =
            answer.wait_for(Option::is_some).await.ok().and_then(|verdict| verdict.clone());
        match verdict {
            Some(Verdict::Buyer(buyer)) => Ok(buyer),
            Some(Verdict::Nobody) => Err(Refusal::UNKNOWN),
            Some(Verdict::Failed(_)) | None => Err(Refusal::Unavailable),
        }
    })
}

/// A question that is under way; when it ends, however it does, the next one may be asked.
#[derive(Debug)]
struct Asked {
    shared: Arc<Shared>,
    digest: Digest,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.shared.state().asked.remove(&self.digest);
    }
}

impl Asked {
    async fn ask(
        self,
        credential: Credential,
        turn: Duration,
        tell: watch::Sender<Option<Verdict>>,
    ) {
        let shared = Arc::clone(&self.shared);
        let began = shared.clock.monotonic();
        let (verdict, rest) = shared.ask(&credential, turn).await;
        let took = shared.clock.monotonic().saturating_sub(began);
        shared.meters.answered(verdict.counted(), took);
        shared.keep(self.digest, &verdict);
        drop(self);
        tell.send_replace(Some(verdict));
        if let Some((rest, permit)) = rest {
            // Its connection is given up with what does not come in time.
            let reading = read_off(rest, permit);
            let _ = tokio::time::timeout(shared.question.timeout, reading).await;
        }
    }
}

async fn read_off(rest: Incoming, _permit: OwnedSemaphorePermit) {
    let _ = Limited::new(rest, REST_MAX).collect().await;
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn and asks. A question that was sent has its whole time: one that is cut short costs the
    /// shop as much and tells nothing.
    async fn ask(&self, credential: &Credential, turn: Duration) -> (Verdict, Option<Rest>) {
        let timeout = self.question.timeout;
        let place = async {
            if !turn.is_zero() {
                tokio::time::sleep(turn).await;
            }
            Arc::clone(&self.in_flight).acquire_owned().await
        };
        let Ok(Ok(permit)) = tokio::time::timeout(timeout, place).await else {
            return (Verdict::Failed(Failure::Crowded), None);
        };
        match tokio::time::timeout(timeout, self.backend.ask(credential)).await {
            Ok((verdict, rest)) => (verdict, rest.map(|rest| (rest, permit))),
            Err(_) => (Verdict::Failed(Failure::TimedOut), None),
        }
    }

    fn keep(&self, digest: Digest, verdict: &Verdict) {
        let now = self.clock.monotonic();
        let cache = self.question.cache;
        match verdict {
            Verdict::Buyer(buyer) => {
                self.state().buyers.put(digest, buyer.clone(), micros(now + cache));
            }
            Verdict::Nobody => {
                self.state().nobodies.put(digest, (), micros(now + cache.min(NOBODY)));
            }
            Verdict::Failed(_) => {}
        }
        match verdict {
            Verdict::Failed(Failure::Crowded) => {}
            Verdict::Failed(failure) => self.note(Some(*failure)),
            Verdict::Buyer(_) | Verdict::Nobody => self.note(None),
        }
    }

    /// Logs that questions fail and that they do not any more, but no more often than [`QUIET`] lets it.
    fn note(&self, failure: Option<Failure>) {
        let now = self.clock.monotonic();
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.failure = failure;
        if trouble.told == failure.is_some() || trouble.quiet_until.is_some_and(|until| now < until)
        {
            return;
        }
        trouble.told = failure.is_some();
        trouble.quiet_until = Some(now + QUIET);
        drop(trouble);
        match failure {
            Some(failure) => tracing::warn!(%failure, "buyers cannot be known"),
            None => tracing::info!("the shop says again who buyers are"),
        }
    }
}

/// How the last question went, and what the log was told of it.
#[derive(Debug, Default)]
struct Trouble {
    failure: Option<Failure>,
    told: bool,
    quiet_until: Option<Duration>,
}
