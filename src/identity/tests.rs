use std::sync::Arc;

use super::*;
use crate::clock::ManualClock;

#[tokio::test]
async fn peers_are_trusted_by_network() {
    let identity = identity();
    let trusts = |peer: &str| identity.trusts(peer.parse().unwrap());
    assert!(trusts("127.9.9.9"));
    assert!(trusts("::ffff:127.0.0.1"), "an IPv4 peer of an IPv6 socket");
    assert!(!trusts("10.0.0.1"));
    assert!(!trusts("::1"));
}

fn identity() -> Identity {
    let means = Config::default().means().unwrap();
    let trusted = ["127.0.0.0/8".parse().unwrap()];
    Identity::new(means, &trusted, Arc::new(ManualClock::default()), &Handle::current())
}

#[tokio::test]
async fn only_one_header_of_a_trusted_peer_counts() {
    let identity = identity();
    let who = |pairs: &[(&'static str, &[u8])], trusted| {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let at_hand = identity.at_hand(&map, trusted);
        match identity.who(&map, trusted) {
            Who::Known(buyer) => assert_eq!(at_hand, Some(buyer)),
            Who::Refused(refusal) => {
                assert_eq!(refusal == Refusal::Malformed, identity.is_malformed(&map, trusted));
                assert_eq!(at_hand, None);
                return Err(refusal);
            }
            Who::Asking(_) => panic!("nobody is asked"),
        }
        Ok(at_hand.unwrap().as_str().to_owned())
    };
    assert_eq!(who(&[("x-buyer-id", b"a")], true).unwrap(), "a");
    assert_eq!(who(&[("x-buyer-id", "é".as_bytes())], true).unwrap(), "é");
    assert_eq!(who(&[("x-buyer-id", b"a"), ("x_buyer_id", b"b")], true).unwrap(), "a");
    let nobody = Err(Refusal::UNKNOWN);
    assert_eq!(who(&[("x-buyer-id", b"a")], false), nobody);
    assert_eq!(who(&[("x-buyer-id", b"")], false), nobody);
    let longest = [b'a'; 128];
    assert!(who(&[("x-buyer-id", &longest)], true).is_ok());
    for value in [&b""[..], b"a\tb", b"\xff", b"\xc2\x85", &[b'a'; 129]] {
        assert_eq!(who(&[("x-buyer-id", value)], true), Err(Refusal::Malformed), "{value:?}");
    }
    for pairs in [
        &[("x-buyer-id", &b"a"[..]), ("x-buyer-id", b"a")][..],
        &[("x-buyer-id", b"a"), ("x-buyer-id", b"")],
        &[("x_buyer_id", b"a")],
        &[("x-buyer_id", b"a")],
        &[("authorization", b"a"), ("cookie", b"x-buyer-id=a")],
        &[],
    ] {
        assert_eq!(who(pairs, true), nobody, "{pairs:?}");
    }
}

/// What is wrong with `[identity]`, by its keys.
fn wrong(text: &str) -> Vec<Vec<&'static str>> {
    let config: Config = toml::from_str(text).unwrap();
    let found = config.means().err().unwrap_or_default();
    found.into_iter().map(|found| found.keys).collect()
}

#[test]
fn settings_of_another_mode_are_refused() {
    assert!(wrong("").is_empty());
    assert!(wrong("header = \"x-user\"\nleeway = \"60s\"\ncache = \"1m\"").is_empty());
    let jwt = "algorithm = \"HS256\"\nkey_file = \"/k\"\nissuer = \"i\"\naudience = \"a\"\nleeway = \"1s\"";
    let forward =
        "url = \"http://a\"\ncache = \"1s\"\nrate = \"1/s\"\nmax_in_flight = 1\ntimeout = \"2s\"";
    assert_eq!(wrong(jwt).len(), 5);
    assert_eq!(wrong(forward).len(), 5);
    assert_eq!(wrong(&format!("mode = \"forward\"\n{forward}")), Vec::<Vec<&str>>::new());
    assert_eq!(wrong(&format!("mode = \"forward\"\n{jwt}\n{forward}")).len(), 5);
    let both = wrong(&format!("mode = \"jwt\"\nheader = \"x-user\"\n{jwt}\n{forward}"));
    assert_eq!(both.len(), 7, "{both:?}");
    assert!(both.contains(&vec!["identity.header", "identity.mode"]));
    assert!(both.contains(&vec!["identity.key_file"]), "there is no such file");
}

#[test]
fn settings_are_whole_and_within_bounds() {
    let jwt = wrong("mode = \"jwt\"");
    assert_eq!(
        jwt,
        [["identity.mode", "identity.algorithm"], ["identity.mode", "identity.key_file"]]
    );
    assert_eq!(wrong("mode = \"forward\""), [["identity.mode", "identity.url"]]);
    let forward = "mode = \"forward\"\nurl = \"http://a\"\n";
    for (text, key) in [
        ("max_in_flight = 0", "identity.max_in_flight"),
        ("max_in_flight = 4097", "identity.max_in_flight"),
        ("timeout = \"0s\"", "identity.timeout"),
    ] {
        assert_eq!(wrong(&format!("{forward}{text}")), [[key]]);
    }
    let jwt = "mode = \"jwt\"\nalgorithm = \"HS256\"\n";
    let key = "identity.key_file";
    assert!(
        wrong(&format!("{jwt}key_file = \"/k\"\nleeway = \"2h\""))
            .contains(&vec!["identity.leeway"])
    );
    assert_eq!(
        wrong(&format!("{jwt}key_file = \"/k\"\nissuer = \"\"")),
        [["identity.issuer"], [key]]
    );
    for (url, error) in [
        ("/whoami", BadUrl::Form),
        ("shop:80", BadUrl::Form),
        ("ftp://shop/", BadUrl::Form),
        ("http://", BadUrl::Form),
        ("http://shop/#me", BadUrl::Form),
        ("http://a:hunter2@shop/", BadUrl::User),
        ("https://shop/", BadUrl::Https),
    ] {
        assert_eq!(url.parse::<Url>().unwrap_err(), error, "{url}");
    }
    for header in ["x_buyer_id", "", "a b"] {
        assert!(toml::from_str::<Config>(&format!("header = \"{header}\"")).is_err(), "{header}");
    }
}
