use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use proptest::prelude::*;

use super::*;

const PEER: &str = "127.0.0.1";

fn trusted() -> Vec<Network> {
    ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).into()
}

fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn of(peer: &str, lines: &[(&'static str, &str)]) -> String {
    let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    client(peer.parse().unwrap(), &headers(&lines), &trusted()).to_string()
}

#[test]
fn a_peer_that_is_not_trusted_is_the_client_whatever_it_says() {
    let said = [("x-forwarded-for", "127.0.0.1"), ("forwarded", "for=127.0.0.1")];
    assert_eq!(of("192.0.2.9", &said), "192.0.2.9");
    assert_eq!(of("::ffff:192.0.2.9", &[]), "192.0.2.9", "an IPv4 peer of an IPv6 socket");
}

/// What a trusted peer sends in `X-Forwarded-For`, and who the client is then.
const PLAIN: &[(&str, &str)] = &[
    ("", PEER),
    (" , ,", PEER),
    ("203.0.113.5", "203.0.113.5"),
    ("203.0.113.5:4711", "203.0.113.5"),
    ("2001:db8::1", "2001:db8::1"),
    ("[2001:db8::1]", "2001:db8::1"),
    ("[2001:db8::1]:4711", "2001:db8::1"),
    ("::ffff:203.0.113.5", "203.0.113.5"),
    ("1.2.3.4, 203.0.113.5", "203.0.113.5"),
    ("1.2.3.4,203.0.113.5,10.0.0.7 , fd00::1", "203.0.113.5"),
    ("127.0.0.1, 203.0.113.5", "203.0.113.5"),
    ("10.1.1.1, 10.0.0.7", "10.1.1.1"),
    ("1.2.3.4, unknown", PEER),
    ("1.2.3.4, unknown, 10.0.0.7", PEER),
    ("unknown, 203.0.113.5", "203.0.113.5"),
    ("fe80::1%eth0", PEER),
    ("1.2.3.4, 203.0.113.05", PEER),
    ("203.0.113.5:99999", PEER),
    ("[203.0.113.5]", PEER),
    ("\"203.0.113.5\"", PEER),
    ("203.0.113.5 1.2.3.4", PEER),
    ("203.0.113", PEER),
];

#[test]
fn x_forwarded_for_is_read_from_the_right() {
    for (said, client) in PLAIN {
        assert_eq!(of(PEER, &[("x-forwarded-for", said)]), *client, "{said}");
    }
    let two = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "203.0.113.5, 10.0.0.7")];
    assert_eq!(of(PEER, &two), "203.0.113.5");
    let hundred = vec!["10.0.0.7"; 100].join(", ");
    let said = format!("1.2.3.4, 203.0.113.5, {hundred}");
    assert_eq!(of(PEER, &[("x-forwarded-for", &said)]), "203.0.113.5");
}

/// The same for `Forwarded`.
const FORWARDED_LINES: &[(&str, &str)] = &[
    ("", PEER),
    (" , ;,", PEER),
    ("for=203.0.113.5", "203.0.113.5"),
    ("For=\"203.0.113.5:4711\"", "203.0.113.5"),
    ("FOR=203.0.113.5;proto=https;by=10.0.0.1", "203.0.113.5"),
    ("proto=https; for=203.0.113.5 ;", "203.0.113.5"),
    ("for=\"[2001:db8::1]\"", "2001:db8::1"),
    ("for=\"[2001:db8::1]:4711\";host=\"a, b\\\"; for=1.2.3.4\"", "2001:db8::1"),
    ("for=\"[2001:db8::1]:_port\"", "2001:db8::1"),
    ("for=\"[::ffff:203.0.113.5]\"", "203.0.113.5"),
    ("for=1.2.3.4, for=203.0.113.5", "203.0.113.5"),
    ("for=1.2.3.4,for=203.0.113.5,for=10.0.0.7", "203.0.113.5"),
    ("for=10.1.1.1, for=10.0.0.7", "10.1.1.1"),
    ("for=1.2.3.4, for=unknown", PEER),
    ("for=1.2.3.4, for=_hidden, for=10.0.0.7", PEER),
    ("for=1.2.3.4, proto=http", PEER),
    ("for=\"unknown:4711\"", PEER),
    ("for=_a, for=203.0.113.5", "203.0.113.5"),
    ("for=203.0.113.5;for=1.2.3.4", PEER),
    ("for=2001:db8::1", PEER),
    ("for=[2001:db8::1]", PEER),
    ("for=\"2001:db8::1\"", PEER),
    ("for=\"[fe80::1%eth0]\"", PEER),
    ("for=\"[2001:db8::1]4711\"", PEER),
    ("for=\"203.0.113.5:99999\"", PEER),
    ("for=\"203.0.113.5:+1\"", PEER),
    ("for=203.0.113.05", PEER),
    ("for = 203.0.113.5", PEER),
    ("for=203.0.113.5 proto=http", PEER),
    ("for=\"203.0.113.5", PEER),
    ("for=\"203.0.113.5\\", PEER),
    ("for=\"203.0.113.5\"x", PEER),
    ("for=\"\"", PEER),
    ("for=_", PEER),
    ("for", PEER),
    ("=203.0.113.5", PEER),
    ("203.0.113.5", PEER),
    // A quote that the client opened swallows what the proxy added.
    ("for=1.2.3.4;x=\", for=203.0.113.5", PEER),
    ("for=1.2.3.4;x=\", for=\"[2001:db8::1]\"", PEER),
];

#[test]
fn forwarded_is_read_by_its_grammar_or_not_at_all() {
    for (said, client) in FORWARDED_LINES {
        assert_eq!(of(PEER, &[("forwarded", said)]), *client, "{said}");
    }
    let broken = [("forwarded", "for=\"1.2.3.4"), ("forwarded", "for=203.0.113.5, for=10.0.0.7")];
    assert_eq!(of(PEER, &broken), "203.0.113.5", "what stands left of the client is not needed");
    let behind = [("forwarded", "for=\"1.2.3.4"), ("forwarded", "for=10.0.0.7")];
    assert_eq!(of(PEER, &behind), PEER);
}

#[test]
fn two_headers_count_when_they_agree() {
    let both = |plain, forwarded| of(PEER, &[("x-forwarded-for", plain), ("forwarded", forwarded)]);
    assert_eq!(both("203.0.113.5", "for=203.0.113.5"), "203.0.113.5");
    assert_eq!(both("203.0.113.5", "for=1.2.3.4"), PEER, "one of them is the client's own");
    assert_eq!(both("1.2.3.4", "for=203.0.113.5"), PEER);
    assert_eq!(both("203.0.113.5", "nonsense"), PEER);
}

/// An entry of a list, as a test makes it.
#[derive(Clone, Debug)]
enum Entry {
    Untrusted(IpAddr),
    Trusted(IpAddr),
    Hidden(&'static str),
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        any::<[u8; 3]>().prop_map(|[a, b, c]| Entry::Untrusted(Ipv4Addr::new(203, a, b, c).into())),
        any::<[u16; 6]>().prop_map(|[a, b, c, d, e, f]| {
            Entry::Untrusted(Ipv6Addr::new(0x2001, 0xdb8, a, b, c, d, e, f).into())
        }),
        any::<[u8; 3]>().prop_map(|[a, b, c]| Entry::Trusted(Ipv4Addr::new(10, a, b, c).into())),
        any::<u16>()
            .prop_map(|a| Entry::Trusted(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, a).into())),
        proptest::sample::select(vec!["unknown", "_secret"]).prop_map(Entry::Hidden),
    ]
}

fn node_text(address: IpAddr, port: Option<u16>) -> String {
    let name = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    port.map_or(name.clone(), |port| format!("{name}:{port}"))
}

fn forwarded_text(entry: &Entry, port: Option<u16>, around: u8) -> String {
    let value = match entry {
        Entry::Untrusted(address) | Entry::Trusted(address) => {
            format!("\"{}\"", node_text(*address, port))
        }
        Entry::Hidden(name) => (*name).to_owned(),
    };
    match around % 4 {
        0 => format!("for={value}"),
        1 => format!("proto=https;FOR={value};by=\"_a, b\""),
        2 => format!(" For={value};host=\"x\\\"; for=1.1.1.1\""),
        _ => format!("secret=\"\\\\\"; for={value} "),
    }
}

/// The rule once more, over the list itself: from the right to the first that is not trusted.
fn expected(entries: &[Entry]) -> IpAddr {
    let peer = PEER.parse().unwrap();
    let stop = entries.iter().rev().find(|entry| !matches!(entry, Entry::Trusted(_)));
    match stop.or(entries.first()) {
        Some(Entry::Untrusted(address) | Entry::Trusted(address)) => *address,
        Some(Entry::Hidden(_)) | None => peer,
    }
}

proptest! {
    #[test]
    fn the_right_most_untrusted_entry_is_the_client(
        entries in prop::collection::vec((entry(), any::<Option<u16>>(), any::<u8>(), any::<bool>()), 0..8),
    ) {
        let (mut plain, mut forwarded) = (HeaderMap::new(), HeaderMap::new());
        let mut lines = (Vec::new(), Vec::new());
        for (entry, port, around, ends_line) in &entries {
            lines.0.push(match entry {
                Entry::Untrusted(address) | Entry::Trusted(address) => node_text(*address, *port),
                Entry::Hidden(name) => (*name).to_owned(),
            });
            lines.1.push(forwarded_text(entry, *port, *around));
            if *ends_line {
                plain.append(X_FORWARDED_FOR, lines.0.join(", ").parse().unwrap());
                forwarded.append(FORWARDED, lines.1.join(" ,").parse().unwrap());
                lines = (Vec::new(), Vec::new());
            }
        }
        plain.append(X_FORWARDED_FOR, lines.0.join(",").parse().unwrap());
        forwarded.append(FORWARDED, lines.1.join(",").parse().unwrap());
        let entries: Vec<Entry> = entries.into_iter().map(|(entry, ..)| entry).collect();
        let peer = PEER.parse().unwrap();
        prop_assert_eq!(client(peer, &plain, &trusted()), expected(&entries));
        prop_assert_eq!(client(peer, &forwarded, &trusted()), expected(&entries));
    }

    /// Whatever a client writes, the proxy's own entry at the right is where the walk ends: nothing that the
    /// client chose is ever the answer.
    #[test]
    fn nothing_left_of_an_untrusted_entry_is_the_client(
        written in prop_oneof![
            prop::collection::vec(0x20u8..0x7f, 0..60),
            prop::collection::vec(any::<u8>().prop_filter("fits a header", |b| *b == b'\t' || *b >= 0x20 && *b != 0x7f), 0..60),
            "(for=(1\\.2\\.3\\.4|\"|_a|unknown|\"\\[2001:db8::2\\]\")|[;,=\" \\\\]|proto){0,12}".prop_map(String::into_bytes),
        ],
        hop in entry().prop_filter("an address", |entry| matches!(entry, Entry::Untrusted(_))),
        around in any::<u8>(),
        own_line in any::<bool>(),
        behind in any::<bool>(),
    ) {
        let peer: IpAddr = PEER.parse().unwrap();
        let Entry::Untrusted(true_client) = hop else { unreachable!() };
        let join = |added: String| {
            let mut lines = vec![written.clone()];
            if own_line {
                lines.push(added.into_bytes());
            } else {
                lines[0].extend(b", ");
                lines[0].extend(added.bytes());
            }
            lines
        };
        let after = |text: &str| if behind { format!(", {text}10.0.0.7") } else { String::new() };
        let plain = join(true_client.to_string() + &after(""));
        let forwarded = join(forwarded_text(&hop, None, around) + &after("for="));
        for (name, lines) in [("x-forwarded-for", plain), ("forwarded", forwarded)] {
            let lines: Vec<_> = lines.iter().map(|line| (name, line.as_slice())).collect();
            let found = client(peer, &headers(&lines), &trusted());
            prop_assert!(found == true_client || found == peer, "{found}");
            prop_assert!(found == true_client || !own_line && name == "forwarded", "{found}");
        }
    }
}
