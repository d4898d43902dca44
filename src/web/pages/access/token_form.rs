//! The form by which an access token is made, and the page that shows it this once.

use askama::Template;
use axum::response::{IntoResponse, Response};

use super::super::super::parameters::Parameters;
use super::super::super::tokens::{Created, NewToken};
use super::super::error::PageError;
use super::super::format::Time;
use super::super::icon::Icon;
use super::super::layout::{Layout, Section};
use super::super::visit::{Visit, rendered};
use super::Head;
use crate::auth::UserName;

/// The fields of the form.
pub(super) const FIELDS: [&str; 6] = ["name", "repositories", "pull", "push", "delete", "expires_in"];

/// For how long a token can be made to be good here, with the value that the API takes.
const TIMES: [(&str, &str); 5] = [
    ("7d", "a week"),
    ("30d", "30 days"),
    ("90d", "90 days"),
    ("365d", "a year"),
    ("", "until it is revoked"),
];

/// What is filled in.
pub(super) struct TokenForm {
    pub name: String,
    pub repositories: String,
    pub pull: bool,
    pub push: bool,
    pub delete: bool,
    pub expires_in: String,
}

impl Default for TokenForm {
    fn default() -> Self {
        Self {
            name: String::new(),
            repositories: String::new(),
            pull: true,
            push: false,
            delete: false,
            expires_in: "90d".to_owned(),
        }
    }
}

impl TokenForm {
    /// What was sent.
    pub(super) fn read(sent: &str) -> Result<Self, PageError> {
        let given = Parameters::parse(Some(sent), &FIELDS)?;
        let text = |name| given.text(name).unwrap_or_default().trim().to_owned();
        Ok(Self {
            name: text("name"),
            repositories: text("repositories"),
            pull: given.text("pull").is_some(),
            push: given.text("push").is_some(),
            delete: given.text("delete").is_some(),
            expires_in: text("expires_in"),
        })
    }

    /// What can be chosen of times: the value, the words, and whether it is chosen.
    pub(super) fn times(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> + '_ {
        TIMES.into_iter().map(|(value, words)| (value, words, value == self.expires_in))
    }

    fn name(&self) -> Result<UserName, PageError> {
        let wrong = "The name has 1 to 255 characters, none of them a colon, a space or a control character";
        UserName::parse(&self.name).map_err(|_| PageError::invalid(wrong))
    }

    /// A token of whoever asks.
    pub(super) fn of_user(&self) -> Result<NewToken, PageError> {
        Ok(NewToken { label: Some(self.name()?), ..self.wanted()? })
    }

    /// A token of a robot.
    pub(super) fn of_robot(&self) -> Result<NewToken, PageError> {
        Ok(NewToken { robot: Some(self.name()?), ..self.wanted()? })
    }

    fn wanted(&self) -> Result<NewToken, PageError> {
        let chosen = [(self.pull, "pull"), (self.push, "push"), (self.delete, "delete")];
        let actions: Vec<String> = chosen
            .into_iter()
            .filter(|(is_chosen, _)| *is_chosen)
            .map(|(_, action)| action.to_owned())
            .collect();
        if actions.is_empty() {
            return Err(PageError::invalid("Choose at least one of pull, push and delete"));
        }
        let repositories: Vec<String> = self
            .repositories
            .split_whitespace()
            // Inside of braces they belong to a pattern.
            .map(|pattern| pattern.trim_matches(','))
            .filter(|pattern| !pattern.is_empty())
            .map(str::to_owned)
            .collect();
        if repositories.is_empty() {
            return Err(PageError::invalid("Say for which repositories it is: ** is all of them"));
        }
        let expires_in = Some(self.expires_in.clone()).filter(|time| !time.is_empty());
        Ok(NewToken { label: None, robot: None, repositories, actions, expires_in })
    }
}

#[derive(Template)]
#[template(path = "access_token.html", config = "src/web/pages/templates/askama.toml")]
struct TokenPage {
    layout: Layout,
    head: Head,
    label: String,
    token: String,
    command: String,
    expires: Option<Time>,
    /// The page with the list that it is in.
    back: &'static str,
}

/// Shows a token that was just made. Nothing else ever shows it.
pub(super) fn shown(visit: &Visit, created: Created, form: &TokenForm, back: &'static str) -> Response {
    let Created { id: _, name, token, expires } = created;
    let page = TokenPage {
        layout: Layout { here: back.to_owned(), ..visit.layout(Section::None, "Access token") },
        head: Head::new(visit, back, None),
        label: form.name.clone(),
        command: docker_login(visit.host(), name.as_str(), &token),
        token,
        expires: expires.map(|time| visit.time(time)),
        back,
    };
    rendered(&page).unwrap_or_else(IntoResponse::into_response)
}

/// The command that logs in with a token, for any shell: it goes through the standard input, so that no list of processes shows it.
fn docker_login(host: &str, name: &str, token: &str) -> String {
    format!("echo {} | docker login {host} -u {} --password-stdin", quoted(token), quoted(name))
}

/// A word of a shell: a name may have nearly any character.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte);
    if !word.is_empty() && !word.starts_with('-') && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_copied_runs_nothing_of_a_name() {
        assert_eq!(
            docker_login("door.example:5000", "alice", "portreeve_a_b"),
            "echo portreeve_a_b | docker login door.example:5000 -u alice --password-stdin"
        );
        for (name, word) in [("$(id)", "'$(id)'"), ("a';id;'", r"'a'\'';id;'\'''"), ("--help", "'--help'")] {
            assert_eq!(quoted(name), word);
        }
    }

    #[test]
    fn a_form_says_what_it_lacks() {
        for (sent, lacks) in [
            ("name=a+b&repositories=**&pull=on", "The name has"),
            ("name=a&repositories=**", "at least one"),
            ("name=a&repositories=+,+&pull=on", "which repositories"),
        ] {
            let error = TokenForm::read(sent).unwrap().of_user().err().unwrap();
            assert!(error.message.contains(lacks), "{}", error.message);
        }
        let sent = "name=a&repositories=team%2F**%2C+{web,api}%2F*&pull=on&delete=on&expires_in=";
        let wanted = TokenForm::read(sent).unwrap().of_robot().unwrap();
        assert_eq!(wanted.repositories, ["team/**", "{web,api}/*"]);
        assert_eq!(wanted.actions, ["pull", "delete"]);
        assert!(wanted.expires_in.is_none() && wanted.robot.is_some());
    }
}
