//! A list that is sorted, filtered and shown in parts, as the query of its page asks for it. All of that is links and a form, so that it
//! works without a script.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::parameters::Parameters;
use super::icon::Icon;
use super::links;
use super::pager::Pager;

/// A column, as it is declared.
pub(super) struct Declared {
    pub title: &'static str,
    /// The value of `sort` for it.
    pub sort: &'static str,
    pub is_numeric: bool,
    /// Whether the largest comes first, unless it is wanted otherwise.
    pub is_usually_descending: bool,
}

/// A list, as it is declared.
pub(super) struct DeclaredList {
    /// The page that shows it.
    pub path: &'static str,
    pub columns: &'static [Declared],
    /// By what it is sorted, unless it is wanted otherwise.
    pub usual_sort: &'static str,
}

/// How a list is asked for.
pub(super) struct SortedList {
    declared: &'static DeclaredList,
    /// What the names have in them.
    pub filter: String,
    sort: String,
    order: String,
    /// Behind what this part begins; nothing for the first one.
    after: String,
    /// What else the page is asked for.
    kept: Vec<(&'static str, String)>,
}

/// The head of a column, by which the list is sorted.
#[derive(Template)]
#[template(
    source = r#"<th scope="col"{% if is_numeric %} class="numeric"{% endif %}{% if let Some(direction) = sorted %} aria-sort="{{ direction }}"{% endif %}><a href="{{ page }}">{{ title }}{% if let Some(direction) = sorted %}{% if *direction == "descending" %}{{ Icon("arrow-down") }}{% else %}{{ Icon("arrow-up") }}{% endif %}{% endif %}</a></th>"#,
    ext = "html"
)]
pub(super) struct Column {
    title: &'static str,
    /// Whether what stands in it are numbers.
    is_numeric: bool,
    /// The page sorted by it, the other way round if it is already.
    page: String,
    /// As `aria-sort` says it, where the table is sorted by it.
    sorted: Option<&'static str>,
}

/// The form that filters the list.
#[derive(Template)]
#[template(path = "filter.html", config = "src/web/pages/templates/askama.toml")]
pub(super) struct Filter<'a> {
    list: &'a SortedList,
    label: &'static str,
}

impl HtmlSafe for Column {}
impl HtmlSafe for Filter<'_> {}

impl SortedList {
    /// As these parameters ask for it: `q`, `sort`, `order` and `after`. What is in `kept` its links and its form go on to say.
    pub(super) fn read(
        declared: &'static DeclaredList,
        parameters: &Parameters<'_>,
        kept: &[&'static str],
    ) -> Self {
        let text = |name| parameters.text(name).unwrap_or_default().to_owned();
        Self {
            declared,
            filter: text("q"),
            sort: text("sort"),
            order: text("order"),
            after: text("after"),
            kept: kept.iter().map(|name| (*name, text(name))).collect(),
        }
    }

    /// What the API is asked for: so many rows, and what is not left out.
    pub(super) fn asked<'a>(&'a self, rows: &'a str) -> Parameters<'a> {
        let asked =
            [("q", &*self.filter), ("sort", &self.sort), ("order", &self.order), ("after", &self.after)];
        let given = asked.into_iter().filter(|(_, value)| !value.is_empty());
        given.fold(Parameters::default().or("n", rows), |asked, (name, value)| asked.or(name, value))
    }

    /// By what it is sorted.
    pub(super) fn by(&self) -> &str {
        if self.sort.is_empty() { self.declared.usual_sort } else { &self.sort }
    }

    /// Whether it is a later part of the list.
    pub(super) const fn is_later(&self) -> bool {
        !self.after.is_empty()
    }

    /// The heads of its columns.
    pub(super) fn columns(&self) -> Vec<Column> {
        let by = self.by();
        let usually = |column: &&Declared| column.sort == by && column.is_usually_descending;
        let is_descending = match &*self.order {
            "" => self.declared.columns.iter().any(|column| usually(&column)),
            order => order == "desc",
        };
        let column = |column: &Declared| {
            let is_sorted = by == column.sort;
            let is_next_descending = if is_sorted { !is_descending } else { column.is_usually_descending };
            let order = if is_next_descending { "desc" } else { "asc" };
            Column {
                title: column.title,
                is_numeric: column.is_numeric,
                page: self.page(&[("sort", column.sort), ("order", order)]),
                sorted: is_sorted.then_some(if is_descending { "descending" } else { "ascending" }),
            }
        };
        self.declared.columns.iter().map(column).collect()
    }

    /// The form that filters it. The label says by what.
    pub(super) const fn filter_form(&self, label: &'static str) -> Filter<'_> {
        Filter { list: self, label }
    }

    /// What leads to its other parts.
    pub(super) fn pager(&self, next: Option<String>) -> Pager {
        let part = |after: &str| self.page(&[("sort", &self.sort), ("order", &self.order), ("after", after)]);
        Pager::new(self.is_later().then(|| part("")), next.map(|after| part(&after)))
    }

    fn page(&self, asked: &[(&str, &str)]) -> String {
        let mut all: Vec<_> = self.kept.iter().map(|(name, value)| (*name, &**value)).collect();
        all.push(("q", &self.filter));
        all.extend_from_slice(asked);
        links::to(self.declared.path, &all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: DeclaredList = DeclaredList {
        path: "/x",
        columns: &[
            Declared { title: "A", sort: "name", is_numeric: false, is_usually_descending: false },
            Declared { title: "B", sort: "size", is_numeric: true, is_usually_descending: true },
        ],
        usual_sort: "size",
    };

    fn list(query: &str) -> SortedList {
        let known = &["q", "sort", "order", "after", "of"];
        SortedList::read(&DECLARED, &Parameters::parse(Some(query), known).unwrap(), &["of"])
    }

    #[test]
    fn a_column_that_is_chosen_again_sorts_the_other_way_round_and_keeps_what_is_looked_for() {
        let columns = list("q=a%26b&of=c").columns();
        assert_eq!(columns[0].page, "/x?of=c&q=a%26b&sort=name&order=asc");
        assert_eq!(columns[0].sorted, None);
        assert_eq!(columns[1].page, "/x?of=c&q=a%26b&sort=size&order=asc");
        assert_eq!(columns[1].sorted, Some("descending"));
        assert_eq!(list("sort=size&order=asc").columns()[1].sorted, Some("ascending"));
        assert_eq!(list("sort=name").columns()[0].sorted, Some("ascending"));
    }

    #[test]
    fn parts_lead_to_each_other_and_keep_the_order() {
        let first = list("of=c&sort=name").pager(Some("b".to_owned())).to_string();
        assert!(first.contains("/x?of=c&#38;sort=name&#38;after=b"), "{first}");
        assert!(!first.contains("From the beginning"), "{first}");
        let last = list("of=c&sort=name&after=b").pager(None).to_string();
        assert!(last.contains("href=\"/x?of=c&#38;sort=name\"") && !last.contains("Next"), "{last}");
        assert_eq!(list("").pager(None).to_string(), "");
        let form = list("of=c&sort=name&order=asc&q=d").filter_form("Names").to_string();
        for field in
            ["name=\"of\" value=\"c\"", "name=\"sort\" value=\"name\"", "name=\"order\" value=\"asc\""]
        {
            assert!(form.contains(field), "{field}: {form}");
        }
    }
}
