//! Looking through HTML: what stands in tags, and what must not.

/// The tags of a document, as they are written between `<` and `>`. What stands in an attribute cannot end a tag: every `>` in text
/// and in attributes is escaped.
fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default())
}

/// Nothing in it runs or is styled in place, and whatever it loads, leads to or sends something to is here.
pub(super) fn assert_is_safe(page: &str, html: &str) {
    for tag in tags(html) {
        let name = tag.split([' ', '/', '\n']).next().unwrap_or_default().to_ascii_lowercase();
        assert_ne!(name, "style", "{page}: <{tag}>");
        assert!(!["iframe", "object", "embed", "base"].contains(&&*name), "{page}: <{tag}>");
        if name == "script" {
            assert!(tag.starts_with("script src=\"/ui/assets/"), "{page}: <{tag}>");
        }
        if name == "img" {
            assert!(tag.starts_with("img src=\"/ui/assets/"), "{page}: <{tag}>");
        }
        for (attribute, value) in attributes(tag) {
            assert!(!attribute.starts_with("on") && attribute != "style", "{page}: <{tag}>");
            if ["href", "src", "action", "formaction"].contains(&&*attribute) {
                assert!(
                    value.starts_with('/') && !value.starts_with("//") || value.starts_with('#'),
                    "{page}: <{tag}>"
                );
            }
        }
    }
    for script in html.split("<script").skip(1) {
        let content = script.split_once('>').map(|(_, rest)| rest).unwrap_or_default();
        assert!(content.starts_with("</script>"), "{page}: a script in the page");
    }
}

/// The attributes of a tag, which has all of them in double quotes.
fn attributes(tag: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = tag;
    while let Some((before, after)) = rest.split_once("=\"") {
        let name = before.rsplit([' ', '\n']).next().unwrap_or_default().to_ascii_lowercase();
        let Some((value, behind)) = after.split_once('"') else { panic!("an open attribute in <{tag}>") };
        found.push((name, value.to_owned()));
        rest = behind;
    }
    found
}

/// The value of an attribute of the first tag that has this in it.
pub(super) fn attribute(html: &str, part: &str, wanted: &str) -> Option<String> {
    let tag = tags(html).find(|tag| tag.contains(part))?;
    let (_, value) = attributes(tag).into_iter().find(|(name, _)| name == wanted)?;
    Some(value.replace("&#38;", "&").replace("&amp;", "&"))
}

#[test]
fn what_runs_in_place_is_found() {
    for bad in [
        "<p onclick=\"x()\">",
        "<p style=\"color: red\">",
        "<script>x()</script>",
        "<script src=\"https://elsewhere.example/x.js\"></script>",
        "<a href=\"javascript:x()\">",
        "<a href=\"//elsewhere.example/\">",
        "<img src=x onerror=alert(1)>",
        "<style>",
    ] {
        assert!(std::panic::catch_unwind(|| assert_is_safe("", bad)).is_err(), "{bad}");
    }
    assert_is_safe("", "<p class=\"quiet\">onclick=\"x\"</p><a href=\"/ui/\">x</a>");
}
