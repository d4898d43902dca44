//! The sources of `src/`, parsed: which modules there are, which items each defines, and which paths it names. Modules that
//! are only for tests are left out: those may look further than the code that they test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A path as it is written: its segments, without generic arguments.
pub type Segments = Vec<String>;

/// A module of the crate.
#[derive(Debug, Default)]
pub struct Module {
    /// The file it stands in, below `src/`.
    pub file: PathBuf,
    /// Items that it defines.
    pub items: BTreeSet<String>,
    /// Modules that it declares.
    pub children: BTreeSet<String>,
    /// What it imports or re-exports: the name here, to the path.
    pub imports: BTreeMap<String, Segments>,
    /// Paths that it names, those that it only re-exports left out.
    pub named: BTreeSet<Segments>,
    /// Paths that it re-exports.
    pub exported: BTreeSet<Segments>,
    /// Text literals.
    pub texts: BTreeSet<String>,
    /// Metrics that it describes to the exporter: by a literal, or by the name of a constant.
    pub described: BTreeSet<String>,
    /// Constants that are text.
    pub constants: BTreeMap<String, String>,
}

/// All modules below one root, by their paths. The root's own path is empty.
pub type Crate = BTreeMap<Segments, Module>;

/// Parses the crate whose root is this file of `src/`.
pub fn parse(root: &str) -> Crate {
    let mut modules = Crate::new();
    read_file(&mut modules, Vec::new(), Path::new(root), Path::new(""));
    modules
}

/// Parses a crate of one file.
pub fn parse_text(text: &str) -> Crate {
    let mut modules = Crate::new();
    let file = syn::parse_file(text).unwrap();
    read_module(&mut modules, Vec::new(), &file.items, Path::new("lib.rs"), Path::new(""));
    modules
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Reads a module that is a file. The modules it declares lie in `folder`.
fn read_file(modules: &mut Crate, path: Segments, file: &Path, folder: &Path) {
    let text = std::fs::read_to_string(source_root().join(file)).unwrap();
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    read_module(modules, path, &parsed.items, file, folder);
}

fn read_module(modules: &mut Crate, path: Segments, items: &[syn::Item], file: &Path, folder: &Path) {
    let mut module = Module { file: file.to_owned(), ..Module::default() };
    for item in items {
        match item {
            syn::Item::Mod(inner) if is_for_tests(&inner.attrs) => {}
            syn::Item::Mod(inner) => {
                let name = inner.ident.to_string();
                let below = path.iter().cloned().chain([name.clone()]).collect();
                match &inner.content {
                    Some((_, items)) => read_module(modules, below, items, file, &folder.join(&name)),
                    None => {
                        let own_folder = folder.join(&name);
                        let alone = folder.join(format!("{name}.rs"));
                        let is_alone = source_root().join(&alone).exists();
                        let usual = if is_alone { alone } else { own_folder.join("mod.rs") };
                        let file = inner.attrs.iter().find_map(given_path).unwrap_or(usual);
                        read_file(modules, below, &file, &own_folder);
                    }
                }
                module.children.insert(name);
            }
            item => {
                module.items.extend(name_of(item));
                module.visit_item(item);
            }
        }
    }
    modules.insert(path, module);
}

/// Whether an item is compiled for tests only.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

/// Where an attribute says that a module lies, for a module that `src/` itself declares.
fn given_path(attribute: &syn::Attribute) -> Option<PathBuf> {
    let syn::Meta::NameValue(given) = &attribute.meta else { return None };
    let syn::Expr::Lit(literal) = &given.value else { return None };
    match &literal.lit {
        syn::Lit::Str(path) if given.path.is_ident("path") => Some(path.value().into()),
        _ => None,
    }
}

fn name_of(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(name.to_string())
}

impl Module {
    /// The leaves of a `use`: each path with the name that it has here.
    fn leaves(tree: &syn::UseTree, before: &[String], found: &mut Vec<(Segments, String)>) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Segments>();
        match tree {
            syn::UseTree::Path(path) => Self::leaves(&path.tree, &with(&path.ident), found),
            syn::UseTree::Name(name) if name.ident == "self" => {
                found.push((before.to_vec(), before.last().cloned().unwrap_or_default()));
            }
            syn::UseTree::Name(name) => found.push((with(&name.ident), name.ident.to_string())),
            syn::UseTree::Rename(renamed) if renamed.ident == "self" => {
                found.push((before.to_vec(), renamed.rename.to_string()));
            }
            syn::UseTree::Rename(renamed) => {
                found.push((with(&renamed.ident), renamed.rename.to_string()));
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| Self::leaves(tree, before, found));
            }
            syn::UseTree::Glob(_) => found.push((before.to_vec(), "*".to_owned())),
        }
    }

    /// Paths and literals in what a macro is called with.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let mut path = Segments::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.note_path(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.read_tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        self.texts.insert(text.value());
                    }
                }
                TokenTree::Punct(_) => {}
            }
            self.note_path(std::mem::take(&mut path));
            colons = 0;
        }
        self.note_path(path);
    }

    /// Notes a path of more than one segment: a single name is this module's own, or was imported.
    fn note_path(&mut self, path: Segments) {
        if path.len() > 1 {
            self.named.insert(path);
        }
    }

    /// What stands first in a macro's arguments: the name of a metric, if the macro describes one.
    fn note_description(&mut self, first: Option<TokenTree>) {
        let text = first.map(|token| token.to_string()).unwrap_or_default();
        let name = syn::parse_str::<syn::LitStr>(&text).map_or(text, |literal| literal.value());
        self.described.insert(name);
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item_mod(&mut self, inner: &'ast syn::ItemMod) {
        assert!(is_for_tests(&inner.attrs), "a module inside a function: {}", inner.ident);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut leaves = Vec::new();
        Self::leaves(&item.tree, &[], &mut leaves);
        for (path, name) in leaves {
            self.imports.insert(name, path.clone());
            match item.vis {
                syn::Visibility::Inherited => self.named.insert(path),
                _ => self.exported.insert(path),
            };
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.note_path(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.read_tokens(list.tokens.clone());
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        let is_description =
            call.path.segments.last().is_some_and(|name| name.ident.to_string().starts_with("describe_"));
        if is_description {
            self.note_description(call.tokens.clone().into_iter().next());
        }
        self.read_tokens(call.tokens.clone());
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.texts.insert(text.value());
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        if let syn::Expr::Lit(literal) = &*item.expr
            && let syn::Lit::Str(text) = &literal.lit
        {
            self.constants.insert(item.ident.to_string(), text.value());
        }
        visit::visit_item_const(self, item);
    }

    /// Histograms are described by a table with a field for the name.
    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if matches!(&field.member, syn::Member::Named(name) if name == "name") {
            match &field.expr {
                syn::Expr::Lit(literal) => {
                    if let syn::Lit::Str(text) = &literal.lit {
                        self.described.insert(text.value());
                    }
                }
                syn::Expr::Path(path) => {
                    self.described.extend(path.path.get_ident().map(ToString::to_string));
                }
                _ => {}
            }
        }
        visit::visit_field_value(self, field);
    }
}

/// The file in which a path ends that a module names: that of the item, past all re-exports. None for a path into another
/// crate, and for a module that is named for itself.
pub fn resolve(modules: &Crate, from: &[String], path: &[String]) -> Option<Segments> {
    resolve_item(modules, from, path, 0)
}

fn resolve_item(modules: &Crate, from: &[String], path: &[String], depth: usize) -> Option<Segments> {
    // A name that leads to itself is none of this crate.
    if depth > 16 {
        return None;
    }
    let mut here = from.to_vec();
    let mut rest = path;
    while let [first, others @ ..] = rest {
        match first.as_str() {
            "crate" => here.clear(),
            "super" => {
                here.pop()?;
            }
            "self" => {}
            name => {
                let module = modules.get(&here)?;
                if module.children.contains(name) {
                    here.push(name.to_owned());
                } else if module.items.contains(name) {
                    return Some(here);
                } else {
                    let import = module.imports.get(name)?;
                    let whole: Segments = import.iter().chain(others).cloned().collect();
                    // A crate's name stands for itself.
                    let leads_on = import.first() != Some(first) || import.len() > 1;
                    return leads_on.then(|| resolve_item(modules, &here, &whole, depth + 1)).flatten();
                }
            }
        }
        rest = others;
    }
    None
}
