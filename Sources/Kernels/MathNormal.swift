/// The normal distribution, from `exp` and `log` of this library alone.
extension Math {
  /// The number below which a normal number is with probability q + 1/2, for -1/2 < q < 1/2: good to
  /// some 2^-50 of itself. With q and not the probability, both tails are equally exact.
  ///
  /// Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
  /// Statistics 37 (1988), PPND16.
  @inline(__always)
  public static func normalQuantile(centred q: Double) -> Double {
    if q.magnitude <= 0.425 { return middle(q) }
    let x = tail(0.5 - q.magnitude)
    return q < 0 ? -x : x
  }

  /// The same of a probability p, 0 < p < 1; most exact where p is small.
  public static func normalQuantile(_ p: Double) -> Double {
    let q = p - 0.5
    if q.magnitude <= 0.425 { return middle(q) }
    return q < 0 ? -tail(p) : tail(1 - p)
  }

  /// With what probability a normal number is below x: to some 1e-15, of itself where x < -3.
  public static func normalCumulative(_ x: Double) -> Double {
    if x > 0 { return 1 - normalCumulative(-x) }
    if x < -3 {
      // density / (y + 1 / (y + 2 / (y + ...))), from the inside out.
      var y = -x
      for n in stride(from: 300.0, to: 0, by: -1) { y = n / y - x }
      return normalDensity(x) / y
    }
    // 1/2 + density (x + x^3 / 3 + x^5 / 15 + ...)
    var sum = x, term = x, n = 1.0
    while n < 100 {
      n += 2
      term *= x * x / n
      sum += term
    }
    return 0.5 + normalDensity(x) * sum
  }

  public static func normalDensity(_ x: Double) -> Double {
    0.3989422804014327 * exp(-0.5 * x * x)  // 1 / sqrt(2 pi)
  }

  @inline(__always)
  private static func middle(_ q: Double) -> Double {
    let r = 0.180625 - q * q
    var a = 2509.0809287301226727
    a = a * r + 33430.575583588128105
    a = a * r + 67265.770927008700853
    a = a * r + 45921.953931549871457
    a = a * r + 13731.693765509461125
    a = a * r + 1971.5909503065514427
    a = a * r + 133.14166789178437745
    a = a * r + 3.387132872796366608
    var b = 5226.495278852854561
    b = b * r + 28729.085735721942674
    b = b * r + 39307.89580009271061
    b = b * r + 21213.794301586595867
    b = b * r + 5394.1960214247511077
    b = b * r + 687.1870074920579083
    b = b * r + 42.313330701600911252
    b = b * r + 1
    return q * a / b
  }

  /// Of the upper tail with probability p, at most 0.075.
  @inline(never)
  private static func tail(_ p: Double) -> Double {
    let root = (-log(p)).squareRoot()
    if root <= 5 {
      let r = root - 1.6
      var c = 7.7454501427834140764e-4
      c = c * r + 0.0227238449892691845833
      c = c * r + 0.24178072517745061177
      c = c * r + 1.27045825245236838258
      c = c * r + 3.64784832476320460504
      c = c * r + 5.7694972214606914055
      c = c * r + 4.6303378461565452959
      c = c * r + 1.42343711074968357734
      var d = 1.05075007164441684324e-9
      d = d * r + 5.475938084995344946e-4
      d = d * r + 0.0151986665636164571966
      d = d * r + 0.14810397642748007459
      d = d * r + 0.68976733498510000455
      d = d * r + 1.6763848301838038494
      d = d * r + 2.05319162663775882187
      return c / (d * r + 1)
    }
    let r = root - 5
    var e = 2.01033439929228813265e-7
    e = e * r + 2.71155556874348757815e-5
    e = e * r + 0.0012426609473880784386
    e = e * r + 0.026532189526576123093
    e = e * r + 0.29656057182850489123
    e = e * r + 1.7848265399172913358
    e = e * r + 5.4637849111641143699
    e = e * r + 6.6579046435011037772
    var f = 2.04426310338993978564e-15
    f = f * r + 1.4215117583164458887e-7
    f = f * r + 1.8463183175100546818e-5
    f = f * r + 7.868691311456132591e-4
    f = f * r + 0.0148753612908506148525
    f = f * r + 0.13692988092273580531
    f = f * r + 0.59983220655588793769
    return e / (f * r + 1)
  }
}
