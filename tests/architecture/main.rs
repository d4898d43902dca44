//! The house stands as `src/lib.rs` draws it: no module imports from a floor that its line does not allow, and no files
//! import each other in a circle.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod circles;
mod dependencies;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use sources::{Crate, Module, parse, parse_text, resolve};

/// The map in `src/lib.rs`: module to the modules it may use.
fn map() -> BTreeMap<String, BTreeSet<String>> {
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
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

/// The floor of a module, which is nowhere for the root itself.
fn floor(path: &[String]) -> Option<&str> {
    path.first().map(String::as_str)
}

/// The floors that a module names: by the path as written, and by where that leads past re-exports.
fn floors_named(modules: &Crate, path: &[String], module: &Module) -> BTreeSet<String> {
    let mut floors = BTreeSet::new();
    for named in module.named.iter().chain(&module.exported) {
        if let [first, floor, ..] = named.as_slice()
            && first == "crate"
        {
            floors.insert(floor.clone());
        }
        floors.extend(resolve(modules, path, named).and_then(|file| file.first().cloned()));
    }
    floors
}

/// The crates, or whatever else it has imported, by which a module's paths begin.
fn first_segments(module: &Module) -> impl Iterator<Item = &str> {
    module.named.iter().chain(&module.exported).filter_map(|path| path.first().map(String::as_str))
}

#[test]
fn what_is_only_for_tests_and_what_is_only_text_is_not_looked_at() {
    let source = r##"
        use crate::first::One;
        use crate::{second::{Two, Twin}, third};
        #[cfg(test)]
        #[allow(unused)]
        pub(super) mod tests {
            use crate::hidden::Three;
            const TEXT: &str = "} \" { crate::text::Four";
        }
        // crate::comment::Five
        #[cfg(test)]
        fn only_for_tests() { crate::fourth::four() }
        fn generic<T: Into<crate::fifth::Six>>(_: T) -> Vec<crate::sixth::Seven> {
            assert_eq!(format!("{:?}", crate::seventh::eight(third::nine())), "crate::text::Ten");
            vec![]
        }
    "##;
    let modules = parse_text(source);
    let found = floors_named(&modules, &[], &modules[&Vec::new()]);
    let expected = ["fifth", "first", "fourth", "second", "seventh", "sixth", "third"];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn no_module_imports_from_a_floor_that_the_map_does_not_allow() {
    let map = map();
    assert!(map.len() > 8, "the map in lib.rs was not found");
    let modules = parse("lib.rs");
    let mut wrong = Vec::new();
    for (path, module) in &modules {
        let Some(floor) = floor(path) else { continue };
        let allowed = map.get(floor).unwrap_or_else(|| panic!("{floor} is missing in the map"));
        for name in floors_named(&modules, path, module) {
            if name != floor && map.contains_key(&name) && !allowed.contains(&name) {
                wrong.push(format!("{} uses {name}", module.file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_is_in_the_map_and_the_map_has_no_circle() {
    let map = map();
    let modules = parse("lib.rs");
    let floors: BTreeSet<&str> = modules.keys().filter_map(|path| floor(path)).collect();
    assert_eq!(floors, map.keys().map(String::as_str).collect());
    let circles = circles::of(map.iter().map(|(name, uses)| (name.clone(), uses.clone())).collect());
    assert!(circles.is_empty(), "the map has a circle: {circles:?}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let modules = parse("lib.rs");
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, module) in &modules {
        let file = module.file.display().to_string();
        let used = module.named.iter().filter_map(|named| resolve(&modules, path, named));
        let used = used.map(|path| modules[&path].file.display().to_string()).filter(|used| *used != file);
        let used: BTreeSet<String> = used.collect();
        imports.entry(file).or_default().extend(used);
    }
    let circles: Vec<String> = circles::of(imports).into_iter().map(|files| files.join(" → ")).collect();
    assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n"));
}

#[test]
fn pingora_and_the_database_stay_where_they_belong() {
    for (path, module) in parse("lib.rs") {
        let Some(floor) = floor(&path) else { continue };
        for name in first_segments(&module) {
            let is_pingora = name.starts_with("pingora_");
            let of_the_door = ["door", "plugins", "server"].contains(&floor);
            assert!(!is_pingora || of_the_door, "{} names {name}", module.file.display());
            let is_database = ["redb", "tokio_postgres", "deadpool_postgres"].contains(&name);
            assert!(!is_database || floor == "store", "{} names {name}", module.file.display());
        }
    }
}

#[test]
fn every_metric_is_described() {
    let (mut named, mut known) = (BTreeMap::new(), BTreeSet::new());
    for module in parse("lib.rs").into_values() {
        for described in &module.described {
            known.insert(module.constants.get(described).unwrap_or(described).clone());
        }
        let is_metric = |text: &&String| {
            text.strip_prefix("portreeve_").filter(|rest| !rest.is_empty()).is_some_and(|rest| {
                rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            })
        };
        let file = module.file.display().to_string();
        named.extend(module.texts.iter().filter(is_metric).map(|name| (name.clone(), file.clone())));
    }
    assert!(known.len() > 30, "the descriptions were not found");
    named.retain(|name, _| !known.contains(name));
    assert!(named.is_empty(), "not described: {named:?}");
}

#[test]
fn every_floor_that_describes_metrics_is_asked_to() {
    let modules = parse("lib.rs");
    let is_asked = |floor: &str| {
        let call = [floor.to_owned(), "describe_metrics".to_owned()];
        modules.iter().any(|(path, module)| {
            path.first().is_some_and(|name| name == "server")
                && module.named.iter().any(|named| named.ends_with(&call))
        })
    };
    for (path, module) in &modules {
        if path.len() == 1 && module.items.contains("describe_metrics") {
            assert!(is_asked(&path[0]), "{}::describe_metrics() is not called at the start", path[0]);
        }
    }
}
