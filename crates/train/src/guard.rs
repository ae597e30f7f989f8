//! What keeps a run honest: parameters that get no gradient, numbers that are not finite.

use model::{Parameter, read_range};

use crate::Error;

/// Watches the gradients of the first steps and the finiteness of all of them.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Steps in a row that may be skipped.
    patience: u32,
    /// Steps in a row that were skipped.
    pub(crate) skipped_in_row: u32,
    /// Every parameter has had a gradient.
    pub(crate) watched: bool,
    unseen: Option<Vec<Parameter>>,
}

impl Guard {
    pub(crate) fn new(patience: u32) -> Self {
        Guard { patience, skipped_in_row: 0, watched: false, unseen: None }
    }

    /// True when the step may touch the weights; a bad one is skipped and never enters any statistic.
    pub(crate) fn accept(&mut self, step: u64, loss: f64, grad_norm: f64) -> Result<bool, Error> {
        if loss.is_finite() && grad_norm.is_finite() {
            self.skipped_in_row = 0;
            return Ok(true);
        }
        self.skipped_in_row += 1;
        match self.skipped_in_row >= self.patience {
            true => Err(Error::NotFinite { step, count: self.skipped_in_row }),
            false => Ok(false),
        }
    }

    /// Checks that every parameter has had a gradient by the end of the first step after the weights have `moved`:
    /// an adapter's `A` has none while its `B` is still zero.
    pub(crate) fn watch<B: compute::Backend>(
        &mut self,
        (step, moved): (u64, bool),
        backend: &B,
        parameters: &[Parameter],
        gradients: &B::Buffer,
    ) -> Result<(), Error> {
        if self.watched {
            return Ok(());
        }
        let unseen = self.unseen.get_or_insert_with(|| parameters.to_vec());
        unseen.retain(|p| read_range(backend, gradients, p).iter().all(|&g| g == 0.0));
        self.watched = moved;
        match unseen.first() {
            Some(p) if moved => Err(Error::MissingGradient { parameter: p.name.clone(), steps: step }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use compute::{Backend, Cpu};

    #[test]
    fn a_bad_step_is_skipped_and_five_in_a_row_end_the_run() {
        let mut guard = Guard::new(5);
        assert!(!guard.accept(1, f64::NAN, 1.0).unwrap());
        assert!(guard.accept(2, 1.0, 1.0).unwrap());
        for step in 3..7 {
            assert!(!guard.accept(step, 1.0, f64::INFINITY).unwrap());
        }
        assert!(matches!(guard.accept(7, 1.0, f64::NAN), Err(Error::NotFinite { step: 7, count: 5 })));
    }

    #[test]
    fn a_parameter_that_never_gets_a_gradient_is_named() {
        let backend = Cpu::new(1);
        let parameter = |name: &str, offset| Parameter {
            name: name.into(),
            offset,
            rows: 1,
            cols: 2,
            layout: model::FileLayout::Matrix,
        };
        let list = [parameter("seen", 0), parameter("severed", 2)];
        let mut gradients = backend.zeros("gradients", 4).unwrap();
        backend.write(&mut gradients, 0, &[0.0, 1.0]);
        let mut guard = Guard::new(5);
        guard.watch((1, false), &backend, &list, &gradients).unwrap();
        let error = guard.watch((2, true), &backend, &list, &gradients).unwrap_err();
        assert!(matches!(error, Error::MissingGradient { parameter, .. } if parameter == "severed"));
    }
}
