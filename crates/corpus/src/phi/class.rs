//! The classes of the Safe Harbor method, 45 CFR 164.514(b)(2)(i).

use std::fmt;

use serde::{Deserialize, Serialize};

/// What identifies a person. The regulation's letters stand beside the names; faces (Q) are no text, and finger and
/// voice prints (P) stand in no text but as device or other numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A: names, behind a title or a label such as `Patient:`, and in prose where something says that they are somebody's.
    Name,
    /// B: streets, post-office boxes, and ZIP codes beyond their first three digits.
    Place,
    /// C: dates more precise than a year.
    Date,
    /// C: ages over 89.
    Age,
    /// D: telephone numbers.
    Phone,
    /// E: fax numbers.
    Fax,
    /// F: electronic mail addresses.
    Email,
    /// G: social security numbers.
    SocialSecurity,
    /// H: medical record numbers.
    MedicalRecord,
    /// I: health plan beneficiary numbers.
    HealthPlan,
    /// J: account numbers, those of cards and banks among them.
    Account,
    /// K: certificate and licence numbers.
    Licence,
    /// L: vehicle identifiers and licence plates.
    Vehicle,
    /// M: device identifiers and serial numbers.
    Device,
    /// N: addresses of the web.
    Url,
    /// O: internet protocol addresses.
    Ip,
    /// R: any other unique number, such as of a passport, a specimen or an encounter.
    OtherNumber,
}

impl Class {
    /// All of them, in the regulation's order.
    pub const ALL: [Class; 17] = [
        Class::Name,
        Class::Place,
        Class::Date,
        Class::Age,
        Class::Phone,
        Class::Fax,
        Class::Email,
        Class::SocialSecurity,
        Class::MedicalRecord,
        Class::HealthPlan,
        Class::Account,
        Class::Licence,
        Class::Vehicle,
        Class::Device,
        Class::Url,
        Class::Ip,
        Class::OtherNumber,
    ];

    /// The name in reports and manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Name => "name",
            Class::Place => "place",
            Class::Date => "date",
            Class::Age => "age",
            Class::Phone => "phone",
            Class::Fax => "fax",
            Class::Email => "email",
            Class::SocialSecurity => "social_security",
            Class::MedicalRecord => "medical_record",
            Class::HealthPlan => "health_plan",
            Class::Account => "account",
            Class::Licence => "licence",
            Class::Vehicle => "vehicle",
            Class::Device => "device",
            Class::Url => "url",
            Class::Ip => "ip",
            Class::OtherNumber => "other_number",
        }
    }

    /// What stands in a masked text in its place.
    pub(super) fn mask(self) -> &'static str {
        match self {
            Class::Name => "[NAME]",
            Class::Place => "[PLACE]",
            Class::Date => "[DATE]",
            Class::Age => "[AGE OVER 89]",
            Class::Phone => "[PHONE]",
            Class::Fax => "[FAX]",
            Class::Email => "[EMAIL]",
            Class::SocialSecurity => "[SSN]",
            Class::MedicalRecord => "[MRN]",
            Class::HealthPlan => "[HEALTH PLAN]",
            Class::Account => "[ACCOUNT]",
            Class::Licence => "[LICENCE]",
            Class::Vehicle => "[VEHICLE]",
            Class::Device => "[DEVICE]",
            Class::Url => "[URL]",
            Class::Ip => "[IP]",
            Class::OtherNumber => "[NUMBER]",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
