//! What must hold for any request line. `registry_check` has the registry's side, which the fuzz target shares.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::registry_check::route_check::assert_read_in_one_way;
use super::*;

const SHA256: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Digests, good and bad ones: of any algorithm, too long, too short, in upper case.
fn digest_like() -> impl Strategy<Value = String> {
    (select(vec!["sha256", "sha384", "sha512", "SHA256", "md5", "blake3", "sha256+b64", "a"]), 0..4_usize)
        .prop_flat_map(|(algorithm, kind)| {
            let length = match (algorithm, kind) {
                ("sha384", 0..=1) => 96,
                ("sha512", 0..=1) => 128,
                (_, 0..=1) => 64,
                (_, 2) => 63,
                _ => 65,
            };
            let alphabet = if kind == 1 { "0123456789ABCDEF" } else { "0123456789abcdef" };
            vec(select(alphabet.chars().collect::<Vec<_>>()), length)
                .prop_map(move |encoded| format!("{algorithm}:{}", encoded.into_iter().collect::<String>()))
        })
}

/// Pieces of paths: words of the API, good and bad names, references and digests, and what attackers splice in.
fn segment() -> impl Strategy<Value = String> {
    let words = select(vec![
        "v2",
        "manifests",
        "blobs",
        "uploads",
        "tags",
        "list",
        "_catalog",
        "referrers",
        "a",
        "b",
        "team",
        "latest",
        "v1.0",
        "A",
        "App",
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a..b",
        "a__b",
        "a___b",
        "a--b",
        "a-",
        "-a",
        "_a",
        ".a",
        "a.",
        "%2e",
        "%2e%2e",
        "%2f",
        "%2F",
        "a%2fb",
        "%00",
        "%",
        "%zz",
        "%25",
        "\\",
        "a\\b",
        ";",
        "a;b",
        "?",
        "#",
        " ",
        "+",
        "a+b",
        "@",
        "~",
        "*",
        "é",
        "ß",
        "\u{0}",
        "\r\n",
        "\u{7f}",
        "host:5000",
        "localhost:5000",
        "127.0.0.1",
        "[::1]",
        ":",
        "a:b",
        "sha256:",
        "x=y",
    ])
    .prop_map(str::to_owned);
    prop_oneof![
        8 => words,
        3 => "[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}",
        2 => "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,8}",
        2 => digest_like(),
        1 => select(vec![127_usize, 128, 129, 254, 255, 256, 1024, 1025]).prop_map(|length| "a".repeat(length)),
        1 => "[ -~]{0,6}",
        1 => "\\PC{0,3}",
    ]
}

/// Anything at all, spliced together.
fn spliced_path() -> impl Strategy<Value = String> {
    let separator =
        prop_oneof![12 => Just("/"), 1 => select(vec!["//", "", "/./", "/../", "%2f", "\\", "/."])];
    let end = prop_oneof![6 => Just(""), 1 => select(vec!["/", "//", "/.", "/..", "?", "%20", "\n"])];
    (
        prop_oneof![12 => Just("/v2"), 1 => select(vec!["", "/", "/V2", "v2", "//v2", "/v2/v2"])],
        vec((separator, segment()), 0..8),
        end,
    )
        .prop_map(|(start, segments, end)| {
            let middle: String =
                segments.into_iter().map(|(separator, segment)| separator.to_owned() + &segment).collect();
            format!("{start}{middle}{end}")
        })
}

/// The form of an endpoint with any segments as its name and reference, and perhaps one byte changed: most are
/// accepted or nearly so.
fn near_path() -> impl Strategy<Value = String> {
    let good = "[a-z0-9]{1,3}((\\.|_|__|-{1,3})[a-z0-9]{1,2}){0,2}";
    let word = select(vec!["manifests", "blobs", "uploads", "tags", "list", "referrers", "v2"])
        .prop_map(str::to_owned);
    let component = prop_oneof![4 => good, 3 => word, 1 => segment()];
    let name = vec(component, 1..5).prop_map(|components| components.join("/"));
    let dots = select(vec![".", "..", "..."]).prop_map(str::to_owned);
    let reference = prop_oneof![
        3 => "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,8}",
        2 => "sha256:[0-9a-f]{64}",
        2 => digest_like(),
        1 => dots,
        2 => segment(),
    ];
    let tail = prop_oneof![
        Just("tags/list".to_owned()),
        reference.clone().prop_map(|word| format!("tags/{word}")),
        reference.clone().prop_map(|reference| format!("manifests/{reference}")),
        reference.clone().prop_map(|digest| format!("blobs/{digest}")),
        reference.clone().prop_map(|digest| format!("referrers/{digest}")),
        Just("blobs/uploads/".to_owned()),
        reference.prop_map(|id| format!("blobs/uploads/{id}")),
    ];
    let change = proptest::option::weighted(
        0.3,
        (
            any::<proptest::sample::Index>(),
            select(vec!['/', '.', '%', ':', '-', 'A', '\\', ';', '_', ' ', '\u{e9}']),
        ),
    );
    (name, tail, change).prop_map(|(name, tail, change)| {
        let mut path = format!("/v2/{name}/{tail}");
        if let Some((index, character)) = change {
            let positions: Vec<_> = path.char_indices().map(|(position, _)| position).collect();
            path.insert(positions[index.index(positions.len())], character);
        }
        path
    })
}

fn query() -> impl Strategy<Value = Option<String>> {
    let key = select(vec![
        "tag", "mount", "from", "digest", "t%61g", "%6dount", "fr%6Fm", "Tag", "n", "", "%", "f+m",
    ]);
    let odd = select(vec!["a%2Fb", "%", "%f", "%ff", "a;b", "a+b", "a=b", "A", "%00", "a#b", "\u{e9}", " "]);
    let any_value = prop_oneof!["[a-z0-9._/-]{0,6}", odd.prop_map(str::to_owned), digest_like()];
    let equals = prop_oneof![5 => Just("="), 1 => Just("")];
    let parameter = prop_oneof![
        2 => select(vec!["mount", "%6dount"]).prop_map(|key| format!("{key}={SHA256}")),
        3 => (select(vec!["from", "fr%6Fm"]), "[a-c]").prop_map(|(key, name)| format!("{key}={name}")),
        2 => (select(vec!["tag", "t%61g"]), "[a-c]").prop_map(|(key, tag)| format!("{key}={tag}")),
        3 => (key, equals, any_value).prop_map(|(key, equals, value)| format!("{key}{equals}{value}")),
    ];
    let separator = prop_oneof![8 => Just("&"), 1 => Just(";"), 1 => Just("&&")];
    proptest::option::of(vec((parameter, separator), 0..4).prop_map(|parameters| {
        parameters.into_iter().map(|(parameter, separator)| parameter + separator).collect()
    }))
}

fn method() -> impl Strategy<Value = Method> {
    select(vec![
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::POST,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_spliced_path_is_read_in_two_ways(method in method(), path in spliced_path(), query in query()) {
        assert_read_in_one_way(&method, &path, query.as_deref());
    }

    #[test]
    fn no_path_near_an_endpoint_is_read_in_two_ways(method in method(), path in near_path(), query in query()) {
        assert_read_in_one_way(&method, &path, query.as_deref());
    }

    #[test]
    fn no_query_is_read_in_two_ways(query in query(), is_push in any::<bool>()) {
        let (method, path) = if is_push {
            (Method::PUT, format!("/v2/a/manifests/{SHA256}"))
        } else {
            (Method::POST, "/v2/a/blobs/uploads/".to_owned())
        };
        assert_read_in_one_way(&method, &path, query.as_deref());
    }

    #[test]
    fn no_text_is_read_in_two_ways(method in method(), path in "/v2/\\PC*", query in query()) {
        assert_read_in_one_way(&method, &path, query.as_deref());
    }

    /// What the specification's grammar generates is accepted: the parser is not safe by refusing.
    #[test]
    fn whatever_the_grammar_generates_is_accepted(
        components in vec("[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", 1..5),
        tag in "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}",
        digest in "sha256:[0-9a-f]{64}",
        // Not `.` and `..`: no registry gives those, they would be cleaned away.
        id in "[a-zA-Z0-9_=-][a-zA-Z0-9_.=-]{0,40}",
    ) {
        let name = components.join("/");
        for (method, path) in [
            (Method::GET, format!("/v2/{name}/tags/list")),
            (Method::PUT, format!("/v2/{name}/manifests/{tag}")),
            (Method::HEAD, format!("/v2/{name}/manifests/{digest}")),
            (Method::GET, format!("/v2/{name}/blobs/{digest}")),
            (Method::GET, format!("/v2/{name}/referrers/{digest}")),
            (Method::POST, format!("/v2/{name}/blobs/uploads/")),
            (Method::PATCH, format!("/v2/{name}/blobs/uploads/{id}")),
        ] {
            prop_assert!(assert_read_in_one_way(&method, &path, None), "{} {}", method, path);
        }
    }
}

/// Guards the generators: if they stopped hitting the parser's accepting side, the properties would say nothing.
#[test]
fn the_generators_reach_both_sides() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let methods = [Method::GET, Method::POST, Method::PATCH];
    let mut runner = TestRunner::deterministic();
    let mut accepted = 0;
    for _ in 0..1000 {
        let path = near_path().new_tree(&mut runner).unwrap().current();
        accepted += usize::from(methods.iter().any(|method| Route::parse(method, &path, None).is_ok()));
    }
    assert!((100..900).contains(&accepted), "{accepted} of 1000 accepted");
}
