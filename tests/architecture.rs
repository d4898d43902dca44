//! The house stands as `src/lib.rs` draws it: no module imports from a floor that its line does not allow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The map in `src/lib.rs`: module to the modules it may use.
fn map() -> BTreeMap<String, BTreeSet<String>> {
    let source = std::fs::read_to_string(source_root().join("lib.rs")).unwrap();
    source
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .filter_map(|line| line.split_once("  may use  ").or_else(|| line.split_once(" may use  ")))
        .map(|(module, uses)| {
            let uses = uses.split_whitespace().filter(|name| *name != "nothing").map(str::to_owned).collect();
            (module.trim().to_owned(), uses)
        })
        .collect()
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The floor a file belongs to.
fn floor(file: &Path) -> String {
    let below = file.strip_prefix(source_root()).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The floors that a source names by `crate::`, grouped imports included.
fn named(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for after in source.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(group) => {
                let mut depth = 0;
                let mut name = String::new();
                for character in group.chars() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            found.extend((!name.is_empty()).then(|| std::mem::take(&mut name)))
                        }
                        _ if depth == 0 && name.ends_with(':') => {}
                        _ if depth == 0 && !character.is_whitespace() => name.push(character),
                        _ => {}
                    }
                }
                found.insert(name);
            }
            None => {
                found.insert(after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect());
            }
        }
    }
    found.into_iter().map(|name| name.split(':').next().unwrap_or_default().to_owned()).collect()
}

/// A source without the modules that are only for tests: those may look further than the code they test. What else stands
/// behind `#[cfg(test)]`, and all that stands behind such a module, is looked at.
fn without_test_modules(source: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::new();
    let mut rest = source;
    while let Some(place) = rest.find(MARK) {
        let (before, marked) = rest.split_at(place);
        kept.push_str(before);
        rest = &marked[MARK.len()..];
        let mut item = rest.trim_start();
        while let Some(attribute) = item.strip_prefix("#[") {
            item = attribute.split_once(']').map_or("", |(_, behind)| behind).trim_start();
        }
        let item = item.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
        if !item.trim_start_matches("pub ").starts_with("mod ") {
            continue;
        }
        let semicolon = item.find(';').unwrap_or(usize::MAX);
        rest = match item.find('{') {
            Some(brace) if brace < semicolon => behind_block(&item[brace..]),
            _ => item.get(semicolon + 1..).unwrap_or_default(),
        };
    }
    kept + rest
}

/// What stands behind the block that begins here, strings, characters and comments not taken for code.
fn behind_block(block: &str) -> &str {
    let bytes = block.as_bytes();
    let (mut place, mut depth) = (0, 0);
    while place < bytes.len() {
        let here = &block[place..];
        let raw = here.strip_prefix('r').map(|raw| raw.len() - raw.trim_start_matches('#').len());
        if let Some(hashes) = raw.filter(|hashes| here[1 + hashes..].starts_with('"'))
            && !block[..place].ends_with(|before: char| before.is_alphanumeric() || before == '_')
        {
            let end = format!("\"{}", "#".repeat(hashes));
            place += 2 + hashes;
            place += block[place..].find(&end).map_or(block.len(), |found| found + end.len());
        } else if here.starts_with("//") {
            place += here.find('\n').unwrap_or(here.len());
        } else if here.starts_with('"') {
            place += 1;
            while place < bytes.len() && bytes[place] != b'"' {
                place += if bytes[place] == b'\\' { 2 } else { 1 };
            }
            place += 1;
        } else if here.starts_with("'\\") {
            place += 3 + here[3..].find('\'').unwrap_or_default() + 1;
        } else if here.starts_with("'{'") || here.starts_with("'}'") || here.starts_with("'\"'") {
            place += 3;
        } else {
            depth += match bytes[place] {
                b'{' => 1,
                b'}' => -1,
                _ => 0,
            };
            place += here.chars().next().map_or(1, char::len_utf8);
            if depth == 0 {
                return &block[place..];
            }
        }
    }
    ""
}

#[test]
fn what_stands_behind_a_test_module_is_looked_at() {
    let source = r##"
        use crate::first::One;
        #[cfg(test)]
        mod inline;
        use crate::second::Two;
        #[cfg(test)]
        #[allow(unused)]
        pub(super) mod tests {
            use crate::hidden::Three;
            const TEXT: &str = "} \" {";
            const RAW: &str = r#"}"{"#;
            // }
            fn brace<'a>(_: &'a str) -> [char; 4] { ['}', '{', '\'', '"'] }
        }
        #[cfg(test)]
        fn only_for_tests() { crate::third::four() }
        fn last() { crate::fourth::five() }
    "##;
    let found: Vec<String> = named(&without_test_modules(source)).into_iter().collect();
    assert_eq!(found, ["first", "fourth", "second", "third"]);
}

#[test]
fn no_module_imports_from_a_floor_that_the_map_does_not_allow() {
    let map = map();
    assert!(map.len() > 8, "the map in lib.rs was not found");
    let mut wrong = Vec::new();
    for file in files(&source_root()) {
        let floor = floor(&file);
        if floor == "lib" || floor == "main" {
            continue;
        }
        let allowed = map.get(&floor).unwrap_or_else(|| panic!("{floor} is missing in the map"));
        let source = std::fs::read_to_string(&file).unwrap();
        for name in named(&without_test_modules(&source)) {
            if name != floor && map.contains_key(&name) && !allowed.contains(&name) {
                wrong.push(format!("{} uses {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_is_in_the_map_and_the_map_has_no_cycle() {
    let map = map();
    let modules: BTreeSet<String> = files(&source_root()).iter().map(|file| floor(file)).collect();
    let expected: BTreeSet<String> =
        map.keys().cloned().chain(["lib".to_owned(), "main".to_owned()]).collect();
    assert_eq!(modules, expected);
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    while placed.len() < map.len() {
        let next = map.iter().find(|(name, uses)| {
            !placed.contains(name.as_str()) && uses.iter().all(|used| placed.contains(used.as_str()))
        });
        let (name, _) = next.expect("the map has a cycle");
        placed.insert(name);
    }
}

#[test]
fn pingora_and_the_database_stay_where_they_belong() {
    for file in files(&source_root()) {
        let source = std::fs::read_to_string(&file).unwrap();
        let source = without_test_modules(&source);
        let floor = floor(&file);
        let names = |crate_name: &str| {
            source.contains(&format!("{crate_name}::")) || source.contains(&format!("{crate_name}_"))
        };
        if !["door", "plugins", "server"].contains(&floor.as_str()) {
            for crate_name in ["pingora_core", "pingora_proxy", "pingora_http"] {
                assert!(!names(crate_name), "{} names {crate_name}", file.display());
            }
        }
        if floor != "store" {
            assert!(
                !source.contains("use redb") && !source.contains(" redb::"),
                "{} names redb",
                file.display()
            );
        }
    }
}

/// The names of metrics that a source has in it.
fn metrics(source: &str) -> BTreeSet<String> {
    let name = regex::Regex::new(r#""(portreeve_[a-z0-9_]+)""#).unwrap();
    name.captures_iter(source).map(|found| found[1].to_owned()).collect()
}

/// The names of metrics that a source describes, by themselves or by a constant.
fn described(source: &str) -> BTreeSet<String> {
    let constant = regex::Regex::new(r#"const ([A-Z_]+): &str = "(portreeve_[a-z0-9_]+)""#).unwrap();
    let constants: BTreeMap<String, String> =
        constant.captures_iter(source).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    let described = regex::Regex::new(
        r#"(?:describe_(?:counter|gauge|histogram)!\(\s*|name: )(?:"(portreeve_[a-z0-9_]+)"|([A-Z_]+))"#,
    )
    .unwrap();
    described
        .captures_iter(source)
        .filter_map(|found| match (found.get(1), found.get(2)) {
            (Some(name), _) => Some(name.as_str().to_owned()),
            (None, constant) => constants.get(constant?.as_str()).cloned(),
        })
        .collect()
}

#[test]
fn every_metric_is_described() {
    let (mut named, mut known) = (BTreeMap::new(), BTreeSet::new());
    for file in files(&source_root()) {
        if file.ends_with("tests.rs") {
            continue;
        }
        let source = without_test_modules(&std::fs::read_to_string(&file).unwrap());
        known.append(&mut described(&source));
        named.extend(metrics(&source).into_iter().map(|name| (name, file.display().to_string())));
    }
    assert!(known.len() > 30, "the descriptions were not found");
    named.retain(|name, _| !known.contains(name));
    assert!(named.is_empty(), "not described: {named:?}");
}

#[test]
fn every_floor_that_describes_metrics_is_asked_to() {
    let server = std::fs::read_to_string(source_root().join("server.rs")).unwrap();
    for file in files(&source_root()) {
        let source = std::fs::read_to_string(&file).unwrap();
        if !source.contains("pub fn describe_metrics()") {
            continue;
        }
        let call = format!("{}::describe_metrics();", floor(&file));
        assert!(server.contains(&call), "{call} is not called at the start");
    }
}
