//! What kind of registry a history has, and how far its door believes it.

/// What kind of registry it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nature {
    /// With this it answers questions for its catalog, if it has none.
    pub no_catalog: Option<u16>,
    /// A repository without tags has a list of none instead of being denied.
    pub null_tags: bool,
    /// It does not name digests in its answers.
    pub unnamed_digests: bool,
    /// It gives no more than two names at a time.
    pub clamps: bool,
    /// It takes its time, so that sweeps are cut in the middle and go on where they were.
    pub slow: bool,
    /// Now and then a deletion by digest leaves tags that point nowhere.
    pub stops_half_way: bool,
    /// Now and then it answers as it would have a version ago: a replica that lags.
    pub lags: bool,
    /// How the door judges contradictions.
    pub judge: Temper,
}

/// How far contradictions are believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temper {
    /// At once.
    #[default]
    Credulous,
    /// At once, but for those of writes that just settle.
    Settling,
    /// Of a mass disappearance when it is met a second time.
    Patient,
    /// Of a mass disappearance when somebody says so.
    Strict,
}
