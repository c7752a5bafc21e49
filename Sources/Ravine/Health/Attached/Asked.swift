import CRavine

/// What can be asked of an attached monitor.
extension Monitor {
  public func lastStep() throws(RavineError) -> Watched {
    guard watched.step > 0 else {
      throw .state(
        watched.attached
          ? "the optimizer has made no step since the monitor was attached to it"
          : "the monitor was not attached to an optimizer")
    }
    return watched
  }

  /// Depth, and what the last sampled step said.
  public func health(of name: Text) throws(RavineError) -> (Int64, TensorHealth) {
    guard let index = names.find(name), subjects[index].health.step > 0 else {
      var known: [Text] = []
      for i in 0..<min(64, subjects.count) where subjects[i].health.step > 0 {
        known.append(subjects[i].text)
      }
      throw .name(
        "no tensor called '\(shown(name))' was sampled\(suggestion(for: name, among: known))")
    }
    try checkMemory()
    return (subjects[index].depth, subjects[index].health)
  }

  /// Puts the arrays of a name at a place in depth; -1: at none.
  public func setDepth(_ name: Text, _ depth: Int64) throws(RavineError) {
    guard depth >= -1, depth <= Monitor.deepest else {
      throw .argument("depth is \(depth); 0 to \(Monitor.deepest), or -1 for none")
    }
    try name.bytes.withUnsafeBufferPointer { (bytes) throws(RavineError) in
      try checkName(bytes)
      let index = try subject(named: bytes)
      subjects[index].depth = depth
      subjects[index].placed = true
    }
  }
}
