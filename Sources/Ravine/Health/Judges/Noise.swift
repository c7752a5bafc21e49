/// Batches so small that their noise covers the gradient.
enum Noise: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "noise", title: "noise covers the gradient",
      summary:
        "c, the mean cosine of gradients with those of the step before over 64 steps: 1 / c - 1 is the ratio of the noise of a batch to the gradient, which is the noise scale in batches; a note where it is above 10 even two standard errors up",
      needs: "gradients, 33 steps",
      advice:
        "larger batches would train in fewer steps, up to the noise scale; near the end of a training this is normal, and a smaller learning rate averages the noise",
      source: "McCandlish et al. 2018, arXiv:1812.06162: B_simple = tr(Sigma) / |G|^2",
      limits: [
        Limit("note", 10, "noise scale / batch", source: "a decade above the critical batch size")
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    let n = q.monitor.cosines.copy(last: 64, to: q.scratch)
    guard n >= 32 else { return }
    q.consider()
    var mean = 0.0, square = 0.0
    for i in 0..<n { mean += q.scratch[i] / Double(n) }
    for i in 0..<n { square += (q.scratch[i] - mean) * (q.scratch[i] - mean) }
    let error = (square / Double(n * (n - 1))).squareRoot()
    // Gradients that turn around are another finding.
    guard mean + 2 * error > 0, mean + 2 * error < 1 / (1 + q.limit("note")) else { return }
    var finding = Finding()
    finding.place = "all gradients"
    finding.value = 1 / (mean + 2 * error) - 1
    finding.limit = q.limit("note")
    finding.limitName = "note"
    finding.window = n
    finding.evidence =
      "the cosine of gradients in a row is \(short(mean)) on average over \(n) steps: the noise of a batch is at least \(short(finding.value)) times the gradient"
    finding.measured = [("mean_cosine", mean), ("standard_error", error)]
    try q.add(finding)
  }
}
