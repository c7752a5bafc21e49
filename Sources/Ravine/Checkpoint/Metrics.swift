import CShims
import Kernels

/// The states of reactive schedules in a checkpoint: "schedule/plateau" in the metadata.
extension Optimizer {
  func saveReactions(_ header: Document) throws(RavineError) {
    for (i, reaction) in reactions.enumerated() {
      let name = reactionName(i, in: reactions)
      try header.append(",\(quoted("schedule/\(name)")):\"\(reaction.saved)\"")
    }
  }

  /// The states in the file, for each reaction or nil, in memory of the file.
  ///
  /// Schedules are the handle's, so one that the file does not know begins anew, and one that only the
  /// file has is left out: `note` gets a line for each.
  func savedReactions(
    _ file: CheckpointFile, _ note: (Text) throws(RavineError) -> Void
  ) throws(RavineError) -> [UnsafeMutablePointer<Double>?] {
    var out: [UnsafeMutablePointer<Double>?] = [], names: [Text] = []
    for (i, reaction) in reactions.enumerated() {
      let key: Text = "schedule/\(reactionName(i, in: reactions))"
      names.append(key)
      guard let text = file.value(key) else {
        try note("missing \(key)")
        out.append(nil)
        continue
      }
      guard let state = try reaction.restored(text, file.heap) else {
        throw .format("'\(key)' is '\(text)', not the state of \(reaction.declaration.name)")
      }
      out.append(state)
    }
    for i in 0..<file.metadata.count {
      let key = file.metadata.text(i)
      if key.starts(with: "schedule/"), !names.contains(where: { $0 == key }) {
        try note("extra \(key)")
      }
    }
    try checkMemory()
    return out
  }

  func adopt(_ states: [UnsafeMutablePointer<Double>?]) {
    for (reaction, state) in zip(reactions, states) {
      if let state { reaction.adopt(state) }
    }
  }
}
