//! What an answer of the door's own adds to its exchange's line in the access log. `web/` puts it among the extensions of a
//! response, `door/` takes it out: it never reaches the client.

/// What is known of an exchange where its answer is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessNote {
    /// Who the client has proven to be.
    pub user: Option<String>,
    /// The scopes that the client asked for, as they were sent, separated by spaces.
    pub scopes_asked: Option<String>,
    /// Those that it was granted; empty where that is nothing.
    pub scopes_granted: Option<String>,
    /// Why it was refused.
    pub cause: Option<String>,
}
