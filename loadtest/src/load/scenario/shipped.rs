//! The scenarios that come with the program.

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../scenarios/", $name, ".toml")))),*]
    };
}

/// Name and text of each.
pub const SHIPPED: [(&str, &str); 11] = shipped![
    "open-spike",
    "ramp",
    "steady",
    "soak",
    "sold-out-hammer",
    "retry-storm",
    "retry-storm-jitter",
    "poll-herd",
    "bots",
    "two-sales",
    "slow-clients",
];

/// The text of a shipped scenario.
pub fn text(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::super::Scenario;
    use super::*;

    #[test]
    fn each_is_read_and_judges_itself() {
        for (name, text) in SHIPPED {
            let scenario = Scenario::read(name, text).unwrap();
            assert!(scenario.keep.len() >= 3, "{name}: {:?}", scenario.keep);
            assert!(scenario.about.len() > 20, "{name}");
        }
    }
}
