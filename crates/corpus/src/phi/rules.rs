//! The patterns. `<x>` is what counts; what a pattern cannot say is asked of `accept`.

use super::Class;
use super::context::*;
use super::recognisers::Candidate;

/// How one kind of finding looks.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) class: Class,
    /// A pattern in which `{NAME}`, `{ID}` and the like stand for those below.
    template: &'static str,
    pub(super) accept: fn(&Candidate<'_>) -> bool,
    pub(super) needs_digit: bool,
}

/// Words that begin with a capital, or initials: `Anna-Lena O'Neil`, `J. Doe`, `DOE, JANE M`.
const NAME: &str = r"(?:\p{Lu}[\p{L}'’-]+,[ ]\p{Lu}[\p{L}'’-]+(?:[ ]\p{Lu}\b\.?)?|(?:\p{Lu}[\p{L}'’-]+|\p{Lu}\.)(?:[ ](?:(?:van|von|de|del|der|den|la|le|da|di|bin|al)[ ])*(?:\p{Lu}[\p{L}'’-]+|\p{Lu}\b\.?)){0,3})";
/// The number behind a label: `is`, `:`, `#`, `no.` and what people write there.
const LINK: &str = r"(?:[ ]*(?:#|:|=|-|\(|№))*[ ]*(?:(?:is|was|of|no|nr|num|number|id|code|ending(?:[ ](?:in|with))?)\b\.?[ ]*[:#=]*[ ]*)*";
/// Letters and digits in one word, with points, hyphens and slashes inside; a digit after few letters at the latest.
const ID: &str = r"(?:[A-Z]{1,8}[./-]?){0,2}[0-9](?:[A-Z0-9./-]{0,24}[A-Z0-9])?";
/// A telephone number in any notation.
const TEL: &str = r"\+?\(?[0-9][0-9 ().-]{5,18}[0-9](?:[ ]?(?:x|ext\.?)[ ]?[0-9]{1,6})?";
/// Names of months in English and German, not as verbs: with a capital.
const MONTH: &str = r"(?:J(?:an(?:uar)?y?|AN(?:UARY)?)|F(?:eb(?:ruar)?y?|EB(?:RUARY)?)|M(?:ar(?:ch)?|ärz|AR(?:CH)?)|A(?:pr(?:il)?|PR(?:IL)?)|M(?:ay|ai|AY)|J(?:une?|uni|UNE?)|J(?:uly?|uli|ULY?)|A(?:ug(?:ust)?|UG(?:UST)?)|S(?:ept?(?:ember)?|EPT?(?:EMBER)?)|O(?:[ck]t(?:ober)?|CT(?:OBER)?)|N(?:ov(?:ember)?|OV(?:EMBER)?)|D(?:e[cz](?:ember)?|EC(?:EMBER)?))\b\.?";
/// Postal abbreviations and names of the states.
const STATE: &str = r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|P[AR]|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]|Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New[ ](?:Hampshire|Jersey|Mexico|York)|North[ ](?:Carolina|Dakota)|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode[ ]Island|South[ ](?:Carolina|Dakota)|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West[ ]Virginia|Wisconsin|Wyoming)";
const CITY: &str = r"\p{Lu}[\p{L}.'’-]+(?:[ ]\p{Lu}[\p{L}.'’-]+){0,2}";
const STREET: &str = r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl|Terrace|Circle|Cir|Parkway|Pkwy|Highway|Hwy|Square|Sq|Trail|Loop|Crescent|Close|Row|Turnpike)\b\.?";

impl Rule {
    /// The whole pattern.
    pub(super) fn pattern(&self) -> String {
        let parts = [
            ("{NAME}", NAME),
            ("{LINK}", LINK),
            ("{ID}", ID),
            ("{TEL}", TEL),
            ("{MONTH}", MONTH),
            ("{STATE}", STATE),
            ("{CITY}", CITY),
            ("{STREET}", STREET),
        ];
        parts.iter().fold(self.template.to_owned(), |pattern, (name, part)| pattern.replace(name, part))
    }
}

const fn number(class: Class, template: &'static str, accept: fn(&Candidate<'_>) -> bool) -> Rule {
    Rule { class, template, accept, needs_digit: true }
}

const fn words(class: Class, template: &'static str, accept: fn(&Candidate<'_>) -> bool) -> Rule {
    Rule { class, template, accept, needs_digit: false }
}

/// All rules; of equally long findings that of the first rule stays.
pub(super) static RULES: &[Rule] = &[
    // Numbers behind their label.
    number(
        Class::SocialSecurity,
        r"(?i)\b(?:SSN|SS#?|soc(?:ial|\.)?[ ]sec(?:urity|\.)?)(?:\b|[ ]){LINK}(?<x>(?:[0-9]{3}|[x*]{3})[ -]?(?:[0-9]{2}|[x*]{2})[ -]?[0-9]{4}|[0-9]{4})\b",
        is_ssn,
    ),
    number(Class::SocialSecurity, r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", is_ssn),
    number(
        Class::MedicalRecord,
        r"(?i)\b(?:MRN|MR[ ](?:no|number)|MR[ ]?#|(?:old[ ])?record|med(?:ical)?[ ]?rec(?:ord)?s?|chart|hospital[ ](?:no|number|id)|patient[ ](?:id(?:entifier)?|no|number|#)|pt[ ]id|record[ ](?:no|number|id|#)|unit[ ](?:no|number)|NHS[ ](?:no|number)|case[ ](?:no|number|id|#))\b\.?{LINK}(?<x>{ID}(?:[ ][0-9]{2,4}){0,3})\b",
        has_digits,
    ),
    number(
        Class::HealthPlan,
        r"(?i)\b(?:member|beneficiary|subscriber|policy|plan|group|medicare|medicaid|insurance|HICN|MBI|payer|claim|enrollee|coverage)\b(?:[ ](?:policy|member|plan|card|claim))?[ ]?(?:id|no|nr|number|#|identifier|:)\.?{LINK}(?<x>{ID})\b",
        has_digits,
    ),
    number(
        Class::HealthPlan,
        r"(?i)\b(?:policy|subscriber|beneficiary|medicare|medicaid)[ ](?<x>[A-Z]{1,4}-?[0-9]{5,12})\b",
        always,
    ),
    number(
        Class::HealthPlan,
        r"\b[1-9][AC-HJ-NP-RT-Y][0-9AC-HJ-NP-RT-Y][0-9]-?[AC-HJ-NP-RT-Y][0-9AC-HJ-NP-RT-Y][0-9]-?[AC-HJ-NP-RT-Y]{2}[0-9]{2}\b",
        always,
    ),
    number(
        Class::Account,
        r"(?i)\b(?:account|acct|a/c|billing|invoice|guarantor|routing|(?:credit|debit|bank)[ ]card|visa|mastercard|IBAN)\b\.?{LINK}(?<x>{ID}(?:[ ][0-9]{4}){0,4})\b",
        has_digits,
    ),
    number(
        Class::Account,
        r"\b(?:[2-6][0-9]{3}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{1,7}|3[0-9]{3}[ -]?[0-9]{6}[ -]?[0-9]{5})\b",
        is_card,
    ),
    number(Class::Account, r"\b[A-Z]{2}[0-9]{2}(?:[ ]?[A-Z0-9]){11,30}\b", is_iban),
    number(
        Class::Licence,
        r"(?i)\b(?:licen[cs]e|lic|DEA|NPI|certificate|certification|board[ ]cert|permit)\b\.?{LINK}(?<x>{ID})\b",
        has_digits,
    ),
    number(Class::Licence, r"\b[ABFGMPR][A-Z9][0-9]{7}\b", is_dea),
    number(
        Class::Vehicle,
        r"(?i)\b(?:VIN|vehicle[ ](?:id|identification|no|number)|(?:licen[cs]e|number|registration)[ ]plate|plates?|tag[ ](?:no|number))\b{LINK}(?<x>[A-Z0-9]{2,17}(?:[ -][A-Z0-9]{2,5})?)\b",
        has_digits,
    ),
    number(Class::Vehicle, r"\b[A-HJ-NPR-Z0-9]{17}\b", is_vin),
    number(
        Class::Device,
        r"(?i)\b(?:serial|S/N|SN|device|UDI|IMEI|implant|pacemaker|pump|lot|model)\b(?:[ ](?:serial|device|id|identifier))?[ ]?(?:id|no|nr|number|#|identifier|:)\.?{LINK}(?<x>{ID})\b",
        has_digits,
    ),
    number(Class::Device, r"(?i)\b(?:S/N|serial|lot|batch)[ ](?<x>{ID})\b", has_digits),
    number(Class::Device, r"\(01\)[0-9]{14}(?:\([0-9]{2}\)[A-Z0-9]{1,20})*", always),
    number(Class::Device, r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b", always),
    number(
        Class::OtherNumber,
        r"(?i)\b(?:encounter|visit|barcode|sample|requisition|order|prescription|Rx|employee|student|badge|confirmation|tracking|national[ ]id|tax[ ]id|EIN|study[ ]id|subject|participant)\b[ ]?(?:id|no|nr|number|#|identifier|:)\.?{LINK}(?<x>{ID})\b",
        is_long_number,
    ),
    number(Class::OtherNumber, r"(?i)\b(?:passport|accession|specimen)\b{LINK}(?<x>{ID})\b", is_long_number),
    number(
        Class::OtherNumber,
        r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        always,
    ),
    // Ways to reach a person.
    words(Class::Email, r"\b[\p{L}0-9._%+-]+@[\p{L}0-9-]+(?:\.[\p{L}0-9-]+)*\.\p{L}{2,}\b", always),
    number(
        Class::Fax,
        r"(?i)\b(?:fax|facsimile|telefax)(?:ed)?\b\.?(?:[ ](?:to|at|line|us))*{LINK}(?<x>{TEL})",
        is_phone,
    ),
    number(Class::Fax, r"(?i)(?<x>{TEL})[ ]*(?:\([ ]?fax[ ]?\)|fax\b)", is_phone),
    number(
        Class::Phone,
        r"(?i)\b(?:phone|tel(?:ephone|efon)?|cell(?:phone)?|mobile|pager|beeper|contact|reach(?:ed|able)?|call(?:ed)?|dial)\b\.?(?:[ ](?:her|him|them|me|us|back|at|on|home|work|office|mobile|cell))*{LINK}(?<x>{TEL})",
        is_phone,
    ),
    number(
        Class::Phone,
        r"(?:\+?1[ .-]?)?(?:\([0-9]{3}\)[ ]?|\b[0-9]{3}[.-])[0-9]{3}[ .-][0-9]{4}\b(?:[ ]?(?:x|ext\.?)[ ]?[0-9]{1,6})?",
        is_phone,
    ),
    number(Class::Phone, r"\+[1-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{1,5}\)?){2,6}", is_phone),
    words(
        Class::Url,
        r"(?i)\b(?:https?|ftp)://[^\s<>()\[\]]*[^\s<>()\[\].,;:]|\bwww\.[a-z0-9-]+(?:\.[a-z0-9-]+)+(?:/[^\s<>()\[\]]*[^\s<>()\[\].,;:])?",
        is_private_site,
    ),
    number(Class::Ip, r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b", is_ip),
    words(Class::Ip, r"\b[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}\b", is_ip),
    // Dates and ages.
    number(Class::Date, r"\b[0-9]{1,2}[/.-][0-9]{1,2}[/.-](?:19|20)[0-9]{2}\b", is_date),
    number(Class::Date, r"\b(?:18|19|20)[0-9]{2}[/.-][0-9]{1,2}[/.-][0-9]{1,2}\b", is_date),
    number(
        Class::Date,
        r"\b(?:[0-9]{1,2}/[0-9]{1,2}|[0-9]{2}\.[0-9]{2}\.|[0-9]{2}-[0-9]{2}-)/?['’]?[0-9]{2}\b",
        is_short_date,
    ),
    number(Class::Date, r"\b(?:0?[1-9]|1[0-2])/(?:19|20)[0-9]{2}\b", always),
    number(
        Class::Date,
        r"(?i)\b(?:on|since|dated?|admitted|discharged|seen|visit|surgery|DOS|DOA|DOB|born|died|expired)\b[ ]*:?[ ]*(?<x>[0-9]{1,2}/[0-9]{1,2})\b",
        is_date,
    ),
    number(
        Class::Date,
        r"(?i)\b(?:DOB|date|birth)\b[^0-9\n]{0,12}(?<x>(?:19|20)(?:[0-9]{2})(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))\b",
        always,
    ),
    number(
        Class::Date,
        r"\b{MONTH}[ ](?:the[ ])?[0-9]{1,2}(?:st|nd|rd|th)?\b(?:,?[ ](?:of[ ])?(?:['’][0-9]{2}|(?:19|20)[0-9]{2}))?",
        always,
    ),
    number(
        Class::Date,
        r"\b[0-9]{1,2}(?:st|nd|rd|th|\.)?[ -](?:(?:day[ ])?of[ ])?{MONTH}(?:,?[ -](?:['’]?[0-9]{2}|(?:19|20)[0-9]{2})\b)?",
        always,
    ),
    number(Class::Date, r"\b{MONTH},?[ -](?:of[ ])?(?:['’][0-9]{2}|(?:19|20)[0-9]{2})\b", always),
    number(
        Class::Age,
        r"(?i)\b(?<x>9[0-9]|1[0-2][0-9])[ -]?(?:years?[ -]old|years?[ ]of[ ]age|y[ ./-]?o\b|yr?s?[ -]old|jährige?r?)",
        is_age,
    ),
    number(
        Class::Age,
        r"(?i)\b(?:aged?|age[ ](?:is|was|of))\b[ ]*[:=]?[ ]*(?<x>9[0-9]|1[0-2][0-9])\b",
        is_age,
    ),
    number(Class::Age, r"\b(?<x>9[0-9]|1[0-2][0-9])[ ]?(?:[MF]\b|(?:yo|y/o)[MF]?\b)", is_age),
    words(
        Class::Age,
        r"(?i)\b(?<x>ninety(?:[ -](?:one|two|three|four|five|six|seven|eight|nine))?|(?:one|a)[ ]hundred(?:[ ](?:and[ ])?(?:one|two|three|four|five|six|seven|eight|nine|ten))?)[ -]years?[ -]old",
        is_age,
    ),
    number(
        Class::Age,
        r"(?i)\b(?:died|passed[ ]away|lived|survived)(?:[ ](?:at|to|until|aged?|the|of))+[ ](?<x>9[0-9]|1[0-2][0-9])\b",
        always,
    ),
    // Places.
    number(
        Class::Place,
        r"\b[0-9]{1,6}(?:-[0-9]{1,4})?[ ](?:[NSEW]\.?[ ])?(?:\p{Lu}[\p{L}.'’-]*[ ]|[0-9]{1,3}(?:st|nd|rd|th)[ ]){1,4}{STREET}(?:,?[ ](?:Apt|Apartment|Unit|Suite|Ste|Floor|Fl|#)\.?[ ]?#?[0-9A-Za-z-]{1,6}\b)?(?:,?[ ]{CITY},?[ ]{STATE}\b(?:[ ][0-9]{5}(?:-[0-9]{4})?)?)?",
        always,
    ),
    number(Class::Place, r"(?i)\bP\.?[ ]?O\.?[ ]?Box[ ]+[0-9]+", always),
    number(Class::Place, r"\b(?<x>{CITY},?[ ]{STATE}\.?,?[ ]+[0-9]{5}(?:-[0-9]{4})?)\b", always),
    number(
        Class::Place,
        r"(?i)\b(?:zip(?:[ ]?code)?|post(?:al)?[ ]?code)\b{LINK}(?<x>[0-9]{5}(?:-[0-9]{4})?)\b",
        always,
    ),
    words(
        Class::Place,
        r"\b(?:[Ll]ives?|[Ll]iving|[Rr]esid(?:es|ing|ent|ed)|[Hh]ome|[Mm]oved|[Bb]orn|[Ff]rom|[Nn]ear|[Oo]utside|[Aa]ddress:?)(?:[ ](?:is|in|at|of|to|near))?[ ](?<x>{CITY},[ ]{STATE})\b",
        always,
    ),
    // Names.
    words(
        Class::Name,
        r"(?m)\b(?i:patient(?:'s)?(?:[ ]name)?|(?:full|first|last|maiden)?[ ]?name|next[ ]of[ ]kin|emergency[ ]contact|guardian|spouse|attending(?:[ ]physician)?|physician|provider|surgeon|referr(?:ed|ing)(?:[ ](?:by|physician|provider|doctor))?|dictated[ ]by|(?:electronically[ ])?signed(?:[ ]by)?|seen[ ]by|reviewed[ ]by|reported[ ]by|PCP|nurse|radiologist|resident|consultant|author|interpreter|witness|attn|cc|re|caller|dear|pt(?:[ ]name)?)[ ]*(?:[:=]|[ ]-[ ])[ ]*(?:(?:Mr|Mrs|Ms|Dr)\.?[ ])?(?<x>{NAME})",
        is_labelled_name,
    ),
    words(
        Class::Name,
        r"\b(?:(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Doctor|Herr|Frau|Mme)\b\.?|(?:MR|MRS|MS|DR)\.)[ ](?:(?:Dr|Prof)\.?[ ])?(?<x>{NAME})",
        is_titled_name,
    ),
    words(
        Class::Name,
        r"\b(?<x>\p{Lu}[\p{L}'’-]+(?:[ ]\p{Lu}\.?)?[ ]\p{Lu}[\p{L}'’-]{2,}),?[ ](?:MD|M\.D\.|DO|RN|R\.N\.|PA-C|NP|CRNP|LCSW|FACS|DDS|BSN)\b",
        is_name,
    ),
    words(
        Class::Name,
        r"\b(?:Mr|Ms|Dr|MR|DR)\.?[ ](?i:and|&)[ ](?:Mrs|Mr|Ms|Dr|MRS|DR)\.?[ ](?<x>{NAME})",
        is_name,
    ),
];
