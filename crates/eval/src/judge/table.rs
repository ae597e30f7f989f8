//! The summary as text.

use super::{Mode, SelfPreference, Summary, Yardstick};
use crate::evaluation::AnswerFault;
use crate::statistics::Interval;
use crate::wording::counted;
use std::fmt::Write;

impl Summary {
    /// For a terminal: the verdicts first, then what speaks against believing them.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).map_or_else(|_| String::new(), |()| text)
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let scale = self.scale.map_or(String::new(), |scale| format!(", scale {scale}"));
        writeln!(out, "judge {}, {}{scale}, prompt {}", self.judge, self.mode.name(), self.prompt)?;
        writeln!(
            out,
            "{}, {} in {}, {} left out",
            counted(self.systems.len(), "system"),
            counted(self.items, "question"),
            counted(self.groups, "group"),
            self.left_out.len()
        )?;
        if let Some(faults) = AnswerFault::list(&self.faults) {
            writeln!(out, "{faults}")?;
        }
        writeln!(out)?;
        self.write_scores(out)?;
        self.write_pairs(out)?;
        self.write_ranking(out)?;
        self.write_agreement(out)?;
        self.write_biases(out)?;
        self.write_calls(out)?;
        for note in &self.notes {
            writeln!(out, "  note: {note}")?;
        }
        Ok(())
    }

    fn write_scores(&self, out: &mut String) -> std::fmt::Result {
        if self.scores.is_empty() {
            return Ok(());
        }
        let calibrated = match &self.calibration {
            Some(calibration) if !calibration.passed => " (NOT CALIBRATED)",
            _ => "",
        };
        writeln!(out, "mean scores with 95 % intervals{calibrated}")?;
        let width = self.systems.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for score in &self.scores {
            let ends = ends(score.mean.low.zip(score.mean.high).map(|(low, high)| Interval { low, high }), 2);
            let failed =
                if score.failed > 0 { format!(", {} without a score", score.failed) } else { String::new() };
            writeln!(
                out,
                "  {:<width$}  {:<13} {:>6.2} {ends}  n = {}{failed}",
                score.system, score.criterion, score.mean.value, score.mean.n
            )?;
        }
        writeln!(out)?;
        for difference in self
            .differences
            .iter()
            .filter(|d| Some(&d.criterion) == self.differences.last().map(|d| &d.criterion))
        {
            writeln!(
                out,
                "  {} − {}: {:+.2} {} ({}), p {} after Holm: {}",
                difference.first,
                difference.second,
                difference.difference,
                ends(difference.interval, 2),
                difference.criterion,
                p(difference.p_holm),
                difference.verdict.name()
            )?;
        }
        writeln!(out)
    }

    fn write_pairs(&self, out: &mut String) -> std::fmt::Result {
        if self.mode == Mode::Pointwise || self.mode == Mode::Rubric || self.pairs.is_empty() {
            return Ok(());
        }
        writeln!(out, "pairs: won, tied, lost; win rate with ties as halves")?;
        for pair in &self.pairs {
            writeln!(
                out,
                "  {} : {}  {}-{}-{}  {:.0} % {}  p {} after Holm: {}",
                pair.first,
                pair.second,
                pair.first_wins,
                pair.ties,
                pair.second_wins,
                100.0 * pair.win_rate,
                ends(Some(Interval { low: 100.0 * pair.interval.low, high: 100.0 * pair.interval.high }), 0),
                p(pair.p_holm),
                pair.verdict.name()
            )?;
            if pair.disagreed + pair.incomplete > 0 {
                writeln!(
                    out,
                    "      {} because the orders disagree, {} without a verdict in both orders",
                    counted(pair.disagreed, "tie"),
                    counted(pair.incomplete, "question")
                )?;
            }
        }
        writeln!(out)
    }

    fn write_ranking(&self, out: &mut String) -> std::fmt::Result {
        match (&self.ranking, &self.calibration) {
            (Some(ranking), _) => {
                writeln!(out, "ranking")?;
                for ranked in &ranking.systems {
                    let open = match ranked.not_distinguishable_from.as_slice() {
                        [] => String::new(),
                        open => format!("  not distinguishable from {}", open.join(", ")),
                    };
                    let value = ends(ranked.interval, 2);
                    writeln!(out, "  {}. {}  {:.2} {value}{open}", ranked.rank, ranked.system, ranked.value)?;
                }
                writeln!(out)
            }
            (None, Some(calibration)) if !calibration.passed => {
                writeln!(out, "no ranking: {}\n", calibration.reason)
            }
            _ => Ok(()),
        }
    }

    fn write_agreement(&self, out: &mut String) -> std::fmt::Result {
        let Some(agreement) = &self.agreement else { return Ok(()) };
        writeln!(out, "agreement with people on {}", counted(agreement.questions, "question"))?;
        for (name, agreed) in [
            ("preference, weighted kappa", agreement.preference),
            ("scores, weighted kappa", agreement.scores),
            ("scores, Krippendorff alpha", agreement.alpha),
            ("scores, Kendall tau-b", agreement.tau),
        ] {
            if let Some(agreed) = agreed {
                writeln!(
                    out,
                    "  {name:<28} {:>5.2} {}  n = {}",
                    agreed.value,
                    ends(agreed.interval, 2),
                    agreed.n
                )?;
            }
        }
        writeln!(out)
    }

    fn write_biases(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "biases")?;
        match &self.position {
            Some(bias) => writeln!(
                out,
                "  position: the earlier answer wins {} of {} ({:.0} % {}): {}; {} of {} comparisons are the same in all orders",
                bias.earlier_wins,
                bias.n,
                100.0 * bias.share,
                ends(Some(Interval { low: 100.0 * bias.interval.low, high: 100.0 * bias.interval.high }), 0),
                bias.verdict,
                bias.consistent,
                bias.compared
            )?,
            None if matches!(self.mode, Mode::Pairwise | Mode::Listwise) => {
                writeln!(out, "  position: not measurable, nothing has a verdict in several orders")?;
            }
            None => writeln!(out, "  position: answers were not shown together")?,
        }
        if let Some(length) = &self.length {
            for (who, wins) in [("judge", &length.judge), ("people", &length.people)] {
                if let Some(wins) = wins {
                    let slope = wins.slope.map_or("no finite slope".to_owned(), |slope| {
                        format!("slope {slope:+.2} {}", ends(wins.slope_interval, 2))
                    });
                    writeln!(
                        out,
                        "  length, {who}: the longer answer wins {} of {} ({:.0} % {}), {slope}",
                        wins.longer_wins,
                        wins.n,
                        100.0 * wins.share,
                        ends(
                            Some(Interval {
                                low: 100.0 * wins.interval.low,
                                high: 100.0 * wins.interval.high
                            }),
                            0
                        )
                    )?;
                }
            }
            if let Some(tau) = length.score_tau {
                writeln!(
                    out,
                    "  length, score: Kendall tau-b {tau:+.2} {}",
                    ends(length.score_tau_interval, 2)
                )?;
            }
        }
        match &self.self_preference {
            SelfPreference::NotMeasurable(reason) => {
                writeln!(out, "  its own family: not measurable, {reason}\n")
            }
            SelfPreference::Measured { own, against, n, judge, others, advantage, interval } => writeln!(
                out,
                "  its own family ({}): wins {:.0} % by the judge, {:.0} % by {}, {:+.0} points {}, n = {n}\n",
                own.join(", "),
                100.0 * judge,
                100.0 * others,
                match against {
                    Yardstick::People => "people",
                    Yardstick::OtherJudges => "other judges",
                },
                100.0 * advantage,
                ends(interval.map(|i| Interval { low: 100.0 * i.low, high: 100.0 * i.high }), 0)
            ),
        }
    }

    fn write_calls(&self, out: &mut String) -> std::fmt::Result {
        let calls = &self.calls;
        write!(out, "calls: {} of {} judged", calls.judged, calls.planned)?;
        for (kind, count) in &calls.failed {
            write!(out, ", {count} {}", kind.name())?;
        }
        if calls.not_asked > 0 {
            write!(out, ", {} not asked", calls.not_asked)?;
        }
        if let Some(reason) = &calls.ended_by {
            write!(out, " ({reason})")?;
        }
        write!(
            out,
            "; {} ({} of them from before), {}",
            counted(calls.replies, "reply"),
            calls.kept,
            counted(calls.tokens as usize, "token")
        )?;
        if calls.cost > 0.0 {
            write!(out, ", cost {:.4}", calls.cost)?;
        }
        if calls.without_price > 0 {
            write!(out, "; what {} of them cost is not known", calls.without_price)?;
        }
        writeln!(out)
    }
}

/// An interval in brackets; nothing where there is none.
pub(in crate::judge) fn ends(interval: Option<Interval>, digits: usize) -> String {
    let number = |value: f64| format!("{value:.digits$}").replace('-', "−");
    interval
        .map_or(String::new(), |interval| format!("[{}, {}]", number(interval.low), number(interval.high)))
}

pub(in crate::judge) fn p(value: f64) -> String {
    if value < 0.001 { "< 0.001".to_owned() } else { format!("{value:.3}") }
}
