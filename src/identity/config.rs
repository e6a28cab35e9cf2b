//! `[identity]` as it is written, and what must hold between its keys.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderName;
use serde::{Deserialize, Serialize};

use super::forward::Question;
use super::jwt::{Algorithm, Keys, Tokens};
use crate::sale::Rate;
use crate::setting::BadSetting;
use crate::units::Span;

/// The most questions at once: each holds a connection of the shop.
const IN_FLIGHT_MAX: usize = 4_096;
/// The most that clocks may differ; beyond it an expiry means nothing.
const LEEWAY_MAX: Duration = Duration::from_secs(3_600);

/// `[identity]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How a buyer is known.
    pub mode: Mode,
    /// The header that names him: a trusted proxy's, or of the answer in mode `forward`.
    #[serde(with = "header_name")]
    pub header: HeaderName,
    /// `jwt`: the one algorithm of tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// `jwt`: the file with the secret or the public keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// `jwt`: what `iss` must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// `jwt`: what `aud` must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// `jwt`: how far the clocks of issuer and gateway may differ.
    pub leeway: Span,
    /// `forward`: where the shop is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// `forward`: how long its answer is remembered.
    pub cache: Span,
    /// `forward`: questions a second, at most.
    pub rate: Rate,
    /// `forward`: questions under way at once, at most.
    pub max_in_flight: usize,
    /// `forward`: how long a question may take, and at most how long it may wait for its turn before.
    pub timeout: Span,
}

/// How a buyer is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A trusted proxy sets a header.
    #[default]
    Header,
    /// He brings a signed token.
    Jwt,
    /// The shop is asked about his cookie or authorization.
    Forward,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Jwt => "jwt",
            Self::Forward => "forward",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Header,
            header: HeaderName::from_static("x-buyer-id"),
            algorithm: None,
            key_file: None,
            issuer: None,
            audience: None,
            leeway: Span(Duration::from_secs(60)),
            url: None,
            cache: Span(Duration::from_secs(60)),
            rate: Rate::per_second(1_000),
            max_in_flight: 64,
            timeout: Span(Duration::from_secs(1)),
        }
    }
}

/// The address of the shop's endpoint: `http`, a host, no user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Url(pub(super) Uri);

/// A text is not such an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// Not an address at all.
    #[error("an address is written like \"http://shop.internal:8000/whoami\"")]
    Form,
    /// TLS to the shop.
    #[error("https is not built yet: ask the shop by http inside its network")]
    Https,
    /// Credentials in an address end up in logs.
    #[error("an address must not hold a user or password")]
    User,
}

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let uri: Uri = text.parse().map_err(|_| BadUrl::Form)?;
        let authority = uri.authority().ok_or(BadUrl::Form)?;
        if text.contains('#') || authority.host().is_empty() {
            return Err(BadUrl::Form);
        }
        if authority.as_str().contains('@') {
            return Err(BadUrl::User);
        }
        match uri.scheme_str() {
            Some("http") => Ok(Self(uri)),
            Some("https") => Err(BadUrl::Https),
            _ => Err(BadUrl::Form),
        }
    }
}

impl TryFrom<String> for Url {
    type Error = BadUrl;

    fn try_from(text: String) -> Result<Self, BadUrl> {
        text.parse()
    }
}

impl From<Url> for String {
    fn from(url: Url) -> Self {
        url.0.to_string()
    }
}

mod header_name {
    use hyper::header::HeaderName;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(name: &HeaderName, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(name.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<HeaderName, D::Error> {
        let text = String::deserialize(from)?;
        let name: Option<HeaderName> = text.parse().ok();
        // Proxies drop such names, and the gateways that do not take them for their twins with hyphens.
        let name = name.filter(|name| !name.as_str().contains('_'));
        name.ok_or_else(|| {
            serde::de::Error::custom("a header's name, such as \"X-Buyer-Id\", without `_`")
        })
    }
}

/// How buyers are known, with everything that it takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Means {
    /// By the header of a trusted proxy.
    Header(HeaderName),
    /// By a token.
    Jwt(Tokens),
    /// By asking the shop.
    Forward(Question),
}

impl Config {
    /// Checks everything and reads the key file.
    ///
    /// # Errors
    /// All that is wrong. No message shows what is in the file.
    pub fn means(&self) -> Result<Means, Vec<BadSetting>> {
        let mut found = self.without_effect();
        let means = match self.mode {
            Mode::Header => Some(Means::Header(self.header.clone())),
            Mode::Jwt => self.tokens(&mut found).map(Means::Jwt),
            Mode::Forward => self.question(&mut found).map(Means::Forward),
        };
        means.filter(|_| found.is_empty()).ok_or(found)
    }

    /// Keys of another mode that were changed: they would do nothing.
    fn without_effect(&self) -> Vec<BadSetting> {
        let default = Self::default();
        let jwt = &[Mode::Jwt][..];
        let forward = &[Mode::Forward][..];
        let changed = [
            ("identity.header", self.header != default.header, &[Mode::Header, Mode::Forward][..]),
            ("identity.algorithm", self.algorithm.is_some(), jwt),
            ("identity.key_file", self.key_file.is_some(), jwt),
            ("identity.issuer", self.issuer.is_some(), jwt),
            ("identity.audience", self.audience.is_some(), jwt),
            ("identity.leeway", self.leeway != default.leeway, jwt),
            ("identity.url", self.url.is_some(), forward),
            ("identity.cache", self.cache != default.cache, forward),
            ("identity.rate", self.rate != default.rate, forward),
            ("identity.max_in_flight", self.max_in_flight != default.max_in_flight, forward),
            ("identity.timeout", self.timeout != default.timeout, forward),
        ];
        let idle =
            changed.into_iter().filter(|(_, said, modes)| *said && !modes.contains(&self.mode));
        let tell = |(key, _, modes): (&'static str, bool, &[Mode])| {
            let modes: Vec<&str> = modes.iter().map(|mode| mode.name()).collect();
            let text = format!(
                "{key} has no effect with identity.mode = \"{}\", only with \"{}\": leave it out",
                self.mode.name(),
                modes.join("\" and \"")
            );
            BadSetting::new(&[key, "identity.mode"], text)
        };
        idle.map(tell).collect()
    }

    fn tokens(&self, found: &mut Vec<BadSetting>) -> Option<Tokens> {
        if self.leeway.0 > LEEWAY_MAX {
            found.push(BadSetting::new(&["identity.leeway"], "identity.leeway must be at most 1h"));
        }
        for (key, text) in
            [("identity.issuer", &self.issuer), ("identity.audience", &self.audience)]
        {
            if text.as_ref().is_some_and(String::is_empty) {
                found.push(BadSetting::new(
                    &[key],
                    format!("{key} must not be empty: leave it out"),
                ));
            }
        }
        let missing = |key, what: &str| {
            BadSetting::new(
                &["identity.mode", key],
                format!("identity.mode = \"jwt\" needs {key}: {what}"),
            )
        };
        if self.algorithm.is_none() {
            found.push(missing("identity.algorithm", "HS256, EdDSA, ES256 or RS256"));
        }
        if self.key_file.is_none() {
            found.push(missing("identity.key_file", "the secret of HS256, else the public keys"));
        }
        let (algorithm, file) = self.algorithm.zip(self.key_file.as_ref())?;
        match Keys::read(file, algorithm) {
            Ok(keys) => Some(Tokens {
                keys,
                issuer: self.issuer.clone(),
                audience: self.audience.clone(),
                leeway: self.leeway.0,
            }),
            Err(error) => {
                let text = format!("{}: {error}", file.display());
                found.push(BadSetting::new(&["identity.key_file"], text));
                None
            }
        }
    }

    fn question(&self, found: &mut Vec<BadSetting>) -> Option<Question> {
        if !(1..=IN_FLIGHT_MAX).contains(&self.max_in_flight) {
            let text = format!("identity.max_in_flight must be 1 to {IN_FLIGHT_MAX}");
            found.push(BadSetting::new(&["identity.max_in_flight"], text));
        }
        if self.timeout.0.is_zero() {
            found.push(BadSetting::new(&["identity.timeout"], "identity.timeout must not be 0s"));
        }
        let Some(url) = &self.url else {
            let text = "identity.mode = \"forward\" needs identity.url: where the shop tells who a \
                        cookie belongs to";
            found.push(BadSetting::new(&["identity.mode", "identity.url"], text));
            return None;
        };
        Some(Question {
            url: url.0.clone(),
            header: self.header.clone(),
            cache: self.cache.0,
            rate: self.rate,
            max_in_flight: self.max_in_flight,
            timeout: self.timeout.0,
        })
    }
}
