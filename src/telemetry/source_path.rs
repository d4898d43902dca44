//! Where in the source something happened, without where that source lay when it was built: that is nobody's business, and differs
//! from build to build.

/// The text with every absolute path of a source file cut to what names the file: `tokio-1.47.1/src/runtime/task.rs:12:5`.
pub(super) fn without_build_paths(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(without_build_path).collect();
    lines.join("\n")
}

/// The same for a line, in which a path stands last.
fn without_build_path(line: &str) -> String {
    let begin = match line.find(" /") {
        Some(space) => space + 1,
        None if line.starts_with('/') => 0,
        None => return line.to_owned(),
    };
    let (before, path) = line.split_at(begin);
    format!("{before}{}", name_of(path))
}

fn name_of(path: &str) -> &str {
    let behind = |part: &str| path.find(part).map(|at| &path[at + part.len()..]);
    // Below the directory of a package index, or of a repository, there is one for each package.
    let package = behind("/registry/src/").or_else(|| behind("/git/checkouts/"));
    if let Some((_, package)) = package.and_then(|path| path.split_once('/')) {
        return package;
    }
    if let Some(at) = path.find("/library/") {
        return &path[at + 1..];
    }
    match path.rfind("/src/").or_else(|| path.rfind("/tests/")).or_else(|| path.rfind('/')) {
        Some(at) => &path[at + 1..],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_the_file_and_not_where_it_was_built() {
        for (built, named) in [
            ("src/door/service.rs:12:5", "src/door/service.rs:12:5"),
            ("/build/portreeve/src/door/service.rs:12:5", "src/door/service.rs:12:5"),
            (
                "/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.47.1/src/task/mod.rs:3:1",
                "tokio-1.47.1/src/task/mod.rs:3:1",
            ),
            (
                "/home/a/.cargo/git/checkouts/pingora-8f/1a2b/pingora-core/src/lib.rs:1:1",
                "1a2b/pingora-core/src/lib.rs:1:1",
            ),
            (
                "/rustc/59807616e1fa/library/core/src/panicking.rs:80:14",
                "library/core/src/panicking.rs:80:14",
            ),
            ("   0: core::panicking::panic", "   0: core::panicking::panic"),
            ("             at /opt/x.rs:1:1", "             at x.rs:1:1"),
            ("             at ./src/main.rs:1:1", "             at ./src/main.rs:1:1"),
        ] {
            assert_eq!(without_build_paths(built), named);
        }
        let here = std::panic::Location::caller().to_string();
        let trace = format!("   0: a\n             at /root/.cargo/registry/src/x/a-1/src/a.rs:1:2\n{here}");
        assert!(!without_build_paths(&trace).contains("/root"), "{trace}");
    }

    #[test]
    fn a_backtrace_of_this_process_has_no_absolute_path() {
        let trace = std::backtrace::Backtrace::force_capture().to_string();
        let told = without_build_paths(&trace);
        let absolute = told.lines().find(|line| line.trim_start().starts_with("at /"));
        assert_eq!(absolute, None);
        assert!(told.contains("source_path"), "{told}");
    }
}
