use proptest::prelude::*;
use url::Url;

use super::*;
use crate::fs_rule::Access;
use crate::grant::Grant;

fn pick<T: Clone + std::fmt::Debug + Ord + 'static>(
    from: Vec<T>,
) -> impl Strategy<Value = BTreeSet<T>> {
    proptest::collection::btree_set(proptest::sample::select(from), 0..4)
}

/// Few values, so that sets overlap, cover and miss each other.
fn capabilities() -> impl Strategy<Value = Capabilities> {
    let origins = [
        "https://a.b.example",
        "https://*.b.example",
        "https://a.*.b.example",
        "https://x.y.b.example",
        "https://b.example:*",
        "https://b.example:8443",
        "http://b.example",
        "https://b.example/v1",
        "GET https://b.example/v1/x",
        "GET,POST https://*.b.example",
    ];
    let origins = origins
        .map(|text| OriginPattern::parse(text).expect("valid"))
        .to_vec();
    let argvs: [&[&str]; 6] = [
        &["p"],
        &["p", "*"],
        &["p", "**"],
        &["p", "x"],
        &["p", "x", "**"],
        &["q"],
    ];
    let argvs = argvs
        .map(|parts| ArgvPattern::parse(parts).expect("valid"))
        .to_vec();
    let rules = ["a", "b"].iter().flat_map(|path| {
        [Access::Read, Access::Append, Access::Write]
            .map(|access| FsRule::new(path, "/m", access).expect("valid"))
    });
    let slots = ["s", "t"]
        .map(|slot| SlotName::parse(slot).expect("valid"))
        .to_vec();
    let classes = vec![
        FieldClass::Content,
        FieldClass::Identity,
        FieldClass::Location,
    ];
    let sets = (
        pick(origins),
        pick(rules.collect()),
        pick(argvs),
        pick(vec!["E".to_owned(), "F".to_owned()]),
        pick(slots.clone()),
        pick(slots),
        pick(classes),
    );
    (sets, 0..3_u64, any::<bool>(), any::<bool>()).prop_map(
        |((net, fs, process, env, secrets, owns, classes), kv, client, fail_open)| Capabilities {
            net,
            fs,
            process,
            env,
            secrets,
            owns,
            kv,
            client,
            classes,
            fail_open,
        },
    )
}

proptest! {
    #[test]
    fn the_effective_grant_is_within_request_and_grant(requested in capabilities(), granted in capabilities()) {
        let grant = Grant::intersect(&requested, &granted);
        prop_assert!(requested.covers(grant.capabilities()));
        prop_assert!(granted.covers(grant.capabilities()));
    }

    #[test]
    fn what_both_allow_is_effective(requested in capabilities(), granted in capabilities()) {
        let grant = Grant::intersect(&requested, &granted);
        let (left, right) = (Grant::builtin(requested), Grant::builtin(granted));
        for url in ["https://a.b.example", "https://x.b.example", "https://a.x.b.example", "https://x.y.b.example", "https://b.example", "https://b.example:8443", "http://b.example", "https://c.example", "https://b.example/v1", "https://b.example/v1/x", "https://b.example/v2"] {
            let url = Url::parse(url).expect("valid");
            for method in ["GET", "POST", "PUT"] {
                prop_assert_eq!(grant.allows_request(method, &url), left.allows_request(method, &url) && right.allows_request(method, &url), "{} {}", method, url);
            }
        }
        for argv in ["p", "p x", "p y", "p x y", "p x y z", "q", "q x"] {
            let argv: Vec<String> = argv.split(' ').map(str::to_owned).collect();
            prop_assert_eq!(grant.allows_argv(&argv), left.allows_argv(&argv) && right.allows_argv(&argv), "{:?}", argv);
        }
        for slot in ["s", "t", "u"] {
            prop_assert_eq!(grant.allows_secret(slot), left.allows_secret(slot) && right.allows_secret(slot));
            prop_assert_eq!(grant.owns(slot), left.owns(slot) && right.owns(slot));
        }
    }

    #[test]
    fn the_order_of_request_and_grant_does_not_matter(a in capabilities(), b in capabilities()) {
        prop_assert_eq!(a.meet(&b), b.meet(&a));
    }

    #[test]
    fn what_is_beyond_is_not_covered_and_the_rest_is(a in capabilities(), b in capabilities()) {
        prop_assert_eq!(a.beyond(&b).is_empty(), b.covers(&a));
        let mut both = b.clone();
        both.extend(a.beyond(&b));
        prop_assert!(both.covers(&a));
    }

    #[test]
    fn toml_gives_back_what_it_was_given(a in capabilities()) {
        let text = toml_edit::DocumentMut::from(crate::capability_toml::write(&a)).to_string();
        let source = crate::toml_reader::Source::new(std::path::Path::new("x"), &text);
        let document = source.parse().expect("it is TOML");
        let keys = crate::capability_toml::GRANTED_KEYS;
        let fields = crate::toml_reader::Fields::new(source, document.as_table(), None, "x", keys).expect("known keys");
        prop_assert_eq!(crate::capability_toml::read(&fields).expect("readable"), a);
    }
}

#[test]
fn nothing_is_shown_as_a_dash() {
    assert_eq!(Capabilities::default().to_string(), "–");
    assert_eq!(Capabilities::default().summary(), "–");
}

#[test]
fn basic_fields_need_no_grant() {
    let none = Grant::builtin(Capabilities::default());
    assert!(none.allows_class(FieldClass::Basic));
    assert!(!none.allows_class(FieldClass::Content));
}

#[test]
fn slots_are_own_names_or_name_a_source_of_the_users() {
    for text in [
        "acme-token",
        "a",
        "env:ACME_TOKEN",
        "auth:OPENAI_API_KEY",
        "auth:tokens.access_token",
        "config:x",
    ] {
        assert!(SlotName::parse(text).is_ok(), "{text}");
    }
    for text in [
        "",
        "Acme",
        "a b",
        "env:",
        "env:A=B",
        "file:/etc/passwd",
        "command:id",
        "env:A:B",
        "a/b",
    ] {
        assert!(SlotName::parse(text).is_err(), "{text}");
    }
}

#[test]
fn only_the_host_makes_slots_of_files() {
    let slot = SlotName::of_file("~/.acme/credentials").expect("valid");
    assert_eq!(slot.as_str(), "file:~/.acme/credentials");
    assert!(SlotName::parse(slot.as_str()).is_err());
    for path in ["", "a\nb"] {
        assert!(SlotName::of_file(path).is_err(), "{path:?}");
    }
}

#[test]
fn a_summary_names_what_is_one_and_counts_what_are_many() {
    let slots = ["a", "b"].map(|slot| SlotName::parse(slot).expect("valid"));
    let set = Capabilities {
        net: [OriginPattern::parse("https://a.example").expect("valid")].into(),
        secrets: slots.into(),
        kv: 5,
        classes: [FieldClass::Content].into(),
        ..Capabilities::default()
    };
    assert_eq!(
        set.summary(),
        "net https://a.example, 2 secrets, kv, class content"
    );
}
