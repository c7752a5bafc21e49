/// 1 - beta^t: what a mean that began at 0 and keeps the share beta at each step is divided by.
func biasCorrection(_ beta: Double, _ t: Double) -> Double {
  // beta^t <= exp(-t (1 - beta)); exp(-38) is less than half of the distance from 1 to the Double
  // below it.
  if t * (1 - beta) > 38 { return 1 }
  return 1 - Math.pow(beta, t)
}
