//! The numbers of an AdamW step.

/// One step of AdamW on a range of flat parameters (Loshchilov & Hutter 2019, as `torch.optim.AdamW`): decay
/// `p *= 1 - lr * weight_decay`, then `p -= lr * m̂ / (sqrt(v̂) + eps)` with bias-corrected moments.
#[derive(Debug, Clone)]
pub struct AdamW {
    /// Elements of the flat buffers that this step covers.
    pub range: std::ops::Range<usize>,
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Factor on the gradient: 1 / number of labelled tokens, times the clipping factor.
    pub grad_scale: f64,
    /// Number of this step, from 1 on.
    pub step: u64,
}

/// What is the same for all elements of a step, rounded once to the precision of the values. With 0.999 rounded to
/// f32 before, `1 - beta2` would be off by a part in 80,000, and the bias correction with it.
#[derive(Debug, Clone, Copy)]
pub struct Factors {
    /// `1 - lr * weight_decay`.
    pub decay: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// `1 - beta1`.
    pub one_minus_beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// `1 - beta2`.
    pub one_minus_beta2: f32,
    /// `lr / (1 - beta1^step)`.
    pub step_size: f32,
    /// `sqrt(1 - beta2^step)`.
    pub root_correction: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Factor on the gradient.
    pub grad_scale: f32,
}

impl AdamW {
    /// The factors of this step.
    pub fn factors(&self) -> Factors {
        let steps = self.step as f64;
        Factors {
            decay: (1.0 - self.lr * self.weight_decay) as f32,
            beta1: self.beta1 as f32,
            one_minus_beta1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
            step_size: (self.lr / (1.0 - self.beta1.powf(steps))) as f32,
            root_correction: (1.0 - self.beta2.powf(steps)).sqrt() as f32,
            eps: self.eps as f32,
            grad_scale: self.grad_scale as f32,
        }
    }
}
