# Makes the version of Rust that Cargo.toml declares the one that builds, whichever is the machine's own. To be sourced at the
# top of the repository.
declared=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
case $(rustc --version) in
"rustc $declared."*) ;;
*)
    printf '\n== Rust %s, the version that Cargo.toml declares\n' "$declared"
    rustup toolchain install "$declared" --profile minimal --component rustfmt,clippy
    export RUSTUP_TOOLCHAIN=$declared
    ;;
esac
