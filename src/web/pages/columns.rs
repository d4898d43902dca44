//! The heads of a table's columns, by which it is sorted: links, so that they work without a script.

use super::links;

/// A column.
pub(super) struct Column {
    pub title: &'static str,
    /// Whether what stands in it are numbers.
    pub is_numeric: bool,
    /// The page sorted by it, the other way round if it is already.
    pub page: String,
    /// As `aria-sort` says it, where the table is sorted by it.
    pub sorted: Option<&'static str>,
}

/// By what a table is sorted.
pub(super) struct Sorted<'a> {
    /// The value of `sort`.
    pub by: &'a str,
    /// Whether the largest comes first.
    pub is_descending: bool,
}

/// A column, as it is declared.
pub(super) struct Declared {
    pub title: &'static str,
    /// The value of `sort` for it.
    pub sort: &'static str,
    pub is_numeric: bool,
    /// Whether the largest comes first, unless it is wanted otherwise.
    pub is_usually_descending: bool,
}

/// The columns of the table at `path` that is sorted so and shows what the other `parameters` ask for.
pub(super) fn columns(
    declared: &[Declared],
    path: &str,
    sorted: &Sorted<'_>,
    parameters: &[(&str, &str)],
) -> Vec<Column> {
    let column = |column: &Declared| {
        let is_sorted = sorted.by == column.sort;
        let is_next_descending = if is_sorted { !sorted.is_descending } else { column.is_usually_descending };
        let order = if is_next_descending { "desc" } else { "asc" };
        let mut asked = parameters.to_vec();
        asked.extend([("sort", column.sort), ("order", order)]);
        let direction = if sorted.is_descending { "descending" } else { "ascending" };
        Column {
            title: column.title,
            is_numeric: column.is_numeric,
            page: links::to(path, &asked),
            sorted: is_sorted.then_some(direction),
        }
    };
    declared.iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_chosen_again_sorts_the_other_way_round_and_keeps_what_is_looked_for() {
        let declared = |sort, is_usually_descending| Declared {
            title: "",
            sort,
            is_numeric: false,
            is_usually_descending,
        };
        let sorted = Sorted { by: "size", is_descending: true };
        let columns =
            columns(&[declared("name", false), declared("size", true)], "/x", &sorted, &[("q", "a&b")]);
        assert_eq!(columns[0].page, "/x?q=a%26b&sort=name&order=asc");
        assert_eq!(columns[0].sorted, None);
        assert_eq!(columns[1].page, "/x?q=a%26b&sort=size&order=asc");
        assert_eq!(columns[1].sorted, Some("descending"));
    }
}
