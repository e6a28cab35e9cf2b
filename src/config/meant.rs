//! The second stage: what is meant. Relations between keys are checked here, and only this type is seen by
//! the rest of the program.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use super::changes;
use super::changes::Written;
use super::finding::At;
use super::finding::Finding;
use super::finding::Findings;
use super::log::Log;
use super::read::Reading;
use super::read::at;
use super::rules;
use super::said::Engine;
use super::said::Ledger;
use super::said::Retention;
use super::said::Said;
use super::said::Store;
use super::said::StoreKind;
use super::said::Verify;
use super::sale;
use super::sale::ConfiguredSale;
use super::secrets;
use super::source::Source;
use crate::admission;
use crate::drain;
use crate::http::admin::Access;
use crate::http::admin::BadTokens;
use crate::http::admin::Tokens;
use crate::http::config::AdminListener;
use crate::http::config::Public;
use crate::http::config::Queue;
use crate::identity;
use crate::identity::Algorithm;
use crate::ledger::redis;
use crate::order::TicketKey;
use crate::setting::BadSetting;
use crate::units::Span;

/// Settings that were checked whole.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where buyers come in.
    pub public: Public,
    /// Where operators come in.
    pub admin: SocketAddr,
    /// Which operators may.
    pub admin_access: Access,
    /// How buyers are known.
    pub identity: identity::Means,
    /// How often buyers and addresses may ask.
    pub limits: admission::Config,
    /// How much may wait.
    pub queue: Queue,
    /// Keys that sign tickets, beside the ledger's own.
    pub ticket_keys: Vec<TicketKey>,
    /// The book of stock, limits and the queue.
    pub ledger: Ledger,
    /// The pace and the workers of the drain.
    pub drain: drain::Config,
    /// What is tried again, and how often.
    pub retry: drain::Retry,
    /// Where orders end.
    pub store: Store,
    /// `[verify]`.
    pub verify: Verify,
    /// How long what is over is kept.
    pub retention: Retention,
    /// The log.
    pub log: Log,
    /// Sales that the ledger shall have.
    pub sales: Vec<ConfiguredSale>,
    /// Every key that has a value, in one form whichever way it was written: what a reload compares.
    pub(super) written: Written,
}

/// Checks what single keys cannot know.
pub(super) fn check(
    said: Said,
    mut reading: Reading<'_>,
    source: &Source,
    findings: &mut Findings,
) -> Option<Settings> {
    let sales = std::mem::take(&mut reading.sales);
    let written = changes::written(&said);
    let mut relations = Relations { reading, source, findings };
    for (key, message) in rules::broken(&said) {
        relations.broken(&[key], &message);
    }
    for found in said.drain.check().into_iter().chain(said.retry.check()) {
        relations.broken(&found.keys, &found.text);
    }
    let elsewhere = said.ledger.redis.check().into_iter();
    let elsewhere = elsewhere.chain(said.store.mysql.check()).chain(said.store.http.check());
    for found in elsewhere {
        relations.broken(&found.keys, &found.text);
    }
    relations.ports(said.public.listen, said.admin.listen);
    relations.ledger(&said);
    relations.store(&said);
    relations.drain(&said.drain);
    let admin_access = relations.admin_access(&said.admin);
    let identity = relations.identity(&said.identity);
    let ticket_keys = relations.ticket_keys(&said.tickets.key_files);
    let sales = sale::checked(sales, source, relations.findings);
    for (span, sale) in &sales {
        for message in rules::doubts(sale, &said) {
            relations.findings.add(Finding::warning(at(source, span.clone()), message));
        }
    }
    Some(Settings {
        public: said.public,
        admin: said.admin.listen,
        admin_access: admin_access?,
        identity: identity?,
        limits: said.limits,
        queue: said.queue,
        ticket_keys,
        ledger: said.ledger,
        drain: said.drain,
        retry: said.retry,
        store: said.store,
        verify: said.verify,
        retention: said.retention,
        log: said.log,
        sales: sales.into_iter().map(|(_, sale)| sale).collect(),
        written,
    })
}

/// Tells what is wrong between keys at the one that was said.
struct Relations<'r, 's, 'f> {
    reading: Reading<'r>,
    source: &'s Source,
    findings: &'f mut Findings,
}

impl Relations<'_, '_, '_> {
    fn at(&self, key: &str) -> At {
        self.reading.at(self.source, key)
    }

    /// Two listeners on one port would take each other's connections.
    fn ports(&mut self, public: SocketAddr, admin: SocketAddr) {
        let same = public.port() == admin.port() && public.port() != 0;
        let overlap = public.ip() == admin.ip()
            || public.ip().is_unspecified()
            || admin.ip().is_unspecified();
        if same && overlap {
            let message = format!(
                "public.listen ({public}) and admin.listen ({admin}) are the same port: give each its own"
            );
            self.broken(&["admin.listen", "public.listen"], &message);
        }
    }

    /// What the engine that was chosen needs, and what is said of the other one.
    fn ledger(&mut self, said: &Said) {
        let Ledger { embedded, redis, .. } = &said.ledger;
        let (engine, other, silent) = match said.ledger.engine {
            Engine::Embedded => ("embedded", "ledger.redis", *redis == Default::default()),
            Engine::Redis => ("redis", "ledger.embedded", *embedded == Default::default()),
        };
        let below = format!("{other}.");
        let unused = self.reading.given.keys().find(|key| key.starts_with(&below)).cloned();
        if let Some(key) = unused.filter(|_| !silent) {
            let message = format!("[{other}] has no effect with ledger.engine = \"{engine}\"");
            self.findings.add(Finding::warning(self.at(&key), message));
        }
        if said.ledger.engine == Engine::Redis {
            self.redis(&said.ledger.redis, said.public.order_deadline);
        }
    }

    /// What the store that was chosen needs, and what is said of the other ones.
    fn store(&mut self, said: &Said) {
        let Store { kind, simulated, mysql, http } = &said.store;
        let sections = [
            (StoreKind::Simulated, "simulated", *simulated == Default::default()),
            (StoreKind::Mysql, "mysql", *mysql == Default::default()),
            (StoreKind::Http, "http", *http == Default::default()),
        ];
        let name = sections.iter().find(|(of, ..)| of == kind).map_or("", |(_, name, _)| name);
        for (_, other, _) in sections.iter().filter(|(of, _, silent)| of != kind && !silent) {
            let below = format!("store.{other}.");
            let key = self.reading.given.keys().find(|key| key.starts_with(&below)).cloned();
            if let Some(key) = key {
                let message = format!("[store.{other}] has no effect with store.kind = \"{name}\"");
                self.findings.add(Finding::warning(self.at(&key), message));
            }
        }
        match kind {
            StoreKind::Simulated => {}
            StoreKind::Mysql => {
                let (key, file) = ("store.mysql.password_file", &mysql.password_file);
                self.store_files(mysql.check_files(), key, file.as_deref());
            }
            StoreKind::Http => {
                let redis = &said.ledger.redis;
                if said.ledger.engine == Engine::Redis
                    && redis.durability == redis::Durability::Memory
                {
                    let message = "store.kind = \"http\" lists no orders: what Redis loses with ledger.redis.durability = \
                                   \"memory\" may be sold again; \"replicated\" or \"disk\" loses less";
                    self.findings.add(Finding::warning(self.at("store.kind"), message));
                }
                let (key, file) = ("store.http.secret_file", &http.secret_file);
                self.store_files(http.check_files(), key, file.as_deref());
                self.http(http.timeout, said.drain.attempt_timeout);
            }
        }
    }

    fn store_files(&mut self, found: Vec<BadSetting>, key: &str, secret: Option<&Path>) {
        for found in found {
            self.broken(&found.keys, &found.text);
        }
        if let Some(file) = secret {
            self.private(key, file);
        }
    }

    /// A call must end by itself: cut off by the drain, all answers of its batch are lost.
    fn http(&mut self, timeout: Span, attempt: Span) {
        if timeout >= attempt {
            let message = format!(
                "store.http.timeout ({timeout}) must be less than drain.attempt_timeout ({attempt})"
            );
            self.broken(&["store.http.timeout", "drain.attempt_timeout"], &message);
        }
    }

    fn drain(&mut self, drain: &drain::Config) {
        if drain.floor.is_some() && !drain.adaptive {
            let message = "drain.floor has no effect without drain.adaptive = true";
            self.findings.add(Finding::warning(self.at("drain.floor"), message));
        }
    }

    /// Files of `[ledger.redis]`, and time to ask again.
    fn redis(&mut self, redis: &redis::Config, deadline: Span) {
        for found in redis.check_files() {
            self.broken(&found.keys, &found.text);
        }
        if let Some(file) = &redis.password_file {
            self.private("ledger.redis.password_file", file);
        }
        if redis.timeout >= deadline {
            let message = format!(
                "public.order_deadline ({deadline}) leaves no time to ask again after ledger.redis.timeout ({}): \
                 a lost answer is told as `in_doubt` at once",
                redis.timeout
            );
            self.findings.add(Finding::warning(self.at("ledger.redis.timeout"), message));
        }
    }

    /// Who may use the admin listener; `None` when that was refused.
    fn admin_access(&mut self, admin: &AdminListener) -> Option<Access> {
        let tokens = match &admin.token_file {
            None => None,
            Some(file) => match Tokens::read(file) {
                Ok(tokens) => {
                    self.private("admin.token_file", file);
                    Some(tokens)
                }
                Err(error) => {
                    let message = match error {
                        BadTokens::Unreadable { .. } => error.to_string(),
                        _ => format!("{}: {error}", file.display()),
                    };
                    self.findings.add(Finding::error(self.at("admin.token_file"), message));
                    return None;
                }
            },
        };
        match Access::new(admin.listen, &admin.hosts, tokens, admin.metrics_open) {
            Ok(access) => Some(access),
            Err(exposed) => {
                self.broken(&["admin.listen", "admin.token_file"], &exposed.to_string());
                None
            }
        }
    }

    /// How buyers are known; `None` when that was refused.
    fn identity(&mut self, identity: &identity::Config) -> Option<identity::Means> {
        if let (Some(file), Some(Algorithm::Hs256)) = (&identity.key_file, identity.algorithm) {
            self.private("identity.key_file", file);
        }
        let found = match identity.means() {
            Ok(means) => return Some(means),
            Err(found) => found,
        };
        for bad in found {
            self.broken(&bad.keys, &bad.text);
        }
        None
    }

    /// The keys of `[tickets] key_files`, each id once.
    fn ticket_keys(&mut self, files: &[PathBuf]) -> Vec<TicketKey> {
        let mut keys: Vec<TicketKey> = Vec::new();
        for file in files {
            let key = match secrets::ticket_key(file) {
                Ok(key) => key,
                Err(message) => {
                    let at = self.at("tickets.key_files");
                    self.findings.add(Finding::error(at, message));
                    continue;
                }
            };
            self.private("tickets.key_files", file);
            if keys.iter().any(|known| known.id == key.id) {
                let message = format!("{}: ticket key {} is there twice", file.display(), key.id);
                self.findings.add(Finding::error(self.at("tickets.key_files"), message));
            } else {
                keys.push(key);
            }
        }
        keys
    }

    /// Warns of a file with secrets that others may read.
    fn private(&mut self, key: &str, file: &Path) {
        if secrets::is_open_to_others(file) {
            let file = file.display();
            let message = format!("{file}: others may read this secret: `chmod 600 {file}`");
            self.findings.add(Finding::warning(self.at(key), message));
        }
    }

    /// A rule between these keys is broken; it is told at the first of them that is not a default.
    fn broken(&mut self, keys: &[&str], message: &str) {
        if keys.iter().any(|key| self.reading.refused.contains(*key)) {
            return;
        }
        let said = keys.iter().find(|key| self.reading.given.contains_key(**key));
        let at = self.reading.at(self.source, said.or(keys.first()).unwrap_or(&""));
        self.findings.add(Finding::error(at, message));
    }
}
