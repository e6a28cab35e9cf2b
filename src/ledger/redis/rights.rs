//! Commands by which a user's rights are found out. Each has an argument too many to do anything: a key that nothing
//! uses, a function that there is not, a library without a name. Redis looks at the rights first.

use super::config::{Config, Durability};

/// Of each family that the functions and the tails need, on keys of both kinds.
const ON_KEYS: [&[&str]; 16] = [
    &["HGET", "field"],
    &["HDEL", "field"],
    &["HGETALL"],
    &["HSCAN", "0"],
    &["SREM", "member"],
    &["ZADD", "XX", "0", "member"],
    &["ZRANGE", "0", "0"],
    &["LTRIM", "0", "0"],
    &["LINDEX", "0"],
    &["XADD", "NOMKSTREAM", "*", "field", "value"],
    &["XTRIM", "MAXLEN", "0"],
    &["XRANGE", "-", "+"],
    &["XREVRANGE", "+", "-"],
    &["EXISTS"],
    &["DEL"],
    &["UNLINK"],
];

/// Without any of these no gateway can work at this level.
pub(super) fn needed(config: &Config) -> Vec<Vec<String>> {
    let prefix = &config.prefix;
    let keys = [format!("{{{prefix}}}:doctor"), format!("{{{prefix}:00000000}}:doctor")];
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut needed = vec![words(&["TIME"])];
    for key in &keys {
        needed.push(words(&["FCALL", "forebay_doctor", "1", key]));
        needed.extend(ON_KEYS.iter().filter_map(|on_key| {
            let (name, more) = on_key.split_first()?;
            Some([&words(&[name, key])[..], &words(more)].concat())
        }));
    }
    if config.durability == Durability::Replicated {
        needed.push(words(&["WAIT", "0", "1"]));
    }
    needed
}

/// What the first gateway of a version needs besides.
pub(super) const LOADS: [&str; 3] = ["FUNCTION", "LOAD", "#!lua\n"];
