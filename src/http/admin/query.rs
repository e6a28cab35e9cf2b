//! The query, strictly: only parameters that the resource knows, each once. All their values are plain words
//! and numbers, so nothing is ever percent-encoded.

/// A query's parameters.
#[derive(Clone, Debug, Default)]
pub(super) struct Query<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Query<'a> {
    /// The parameters of a query, of which only `known` ones may be there.
    ///
    /// # Errors
    /// A sentence about the first parameter that is unknown or there twice.
    pub(super) fn parse(text: Option<&'a str>, known: &[&str]) -> Result<Self, String> {
        let mut query = Self::default();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&name) {
                return Err(match known {
                    [] => "this route takes no query parameters".to_owned(),
                    known => {
                        format!("the query parameters of this route are: {}", known.join(", "))
                    }
                });
            }
            if query.get(name).is_some() {
                return Err(format!("the query parameter `{name}` is there twice"));
            }
            query.pairs.push((name, value));
        }
        Ok(query)
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// A number from `min` to `max`, or `default` when it is not there.
    ///
    /// # Errors
    /// A sentence when it is not such a number.
    pub(super) fn number(
        &self,
        name: &str,
        default: u64,
        min: u64,
        max: u64,
    ) -> Result<u64, String> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|n| digits && (min..=max).contains(n));
        number.ok_or_else(|| format!("`{name}` must be a number from {min} to {max}"))
    }
}
