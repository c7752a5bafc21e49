import Kernels

/// The numbers that stages and rules remember for all tensors together. A step changes copies, which
/// take the place of the numbers when it has done its work.
final class Scalars {
  let names: [Text]
  /// Where those of each stage begin, and those of each rule by its row.
  private let places: [Int]
  private let rulePlaces: [(row: Int, place: Int)]
  let values: UnsafeMutablePointer<Double>
  private let pending: UnsafeMutablePointer<Double>

  private init(
    _ names: [Text], _ places: [Int], _ rulePlaces: [(row: Int, place: Int)],
    _ values: UnsafeMutablePointer<Double>
  ) {
    (self.names, self.places, self.rulePlaces) = (names, places, rulePlaces)
    (self.values, pending) = (values, values + names.count)
  }

  /// At their start, for a whole recipe.
  static func make(_ recipe: Recipe, _ heap: Heap) throws(RavineError) -> Scalars {
    var names: [Text] = [], starts: [Double] = [], places: [Int] = []
    func add(_ element: Element, _ name: Text) throws(RavineError) {
      for scalar in try element.declaration.scalars {
        names.append("\(name).\(scalar.name)")
        starts.append(try GroupSlot(Text(), scalar, element).start)
      }
    }
    for (k, stage) in recipe.stages.enumerated() {
      places.append(names.count)
      try add(stage, try stageName(k, in: recipe.stages))
    }
    var rulePlaces: [(row: Int, place: Int)] = []
    for rule in recipe.rules where !rulePlaces.contains(where: { $0.row == rule.row }) {
      rulePlaces.append((rule.row, names.count))
      try add(rule, Text(try rule.declaration.name))
    }
    try checkMemory()
    let values = try heap.allocate(Double.self, 2 * names.count)
    for (k, start) in starts.enumerated() { values[k] = start }
    let made = Scalars(names, places, rulePlaces, values)
    made.begin()
    return made
  }

  /// Those that stage k may change in this step.
  func of(stage k: Int) -> UnsafeMutablePointer<Double> { pending + places[k] }

  func of(rule row: Int) -> UnsafeMutablePointer<Double> {
    pending + (rulePlaces.first { $0.row == row }?.place ?? 0)
  }

  /// Goes on with the numbers that had the same names.
  func keep(_ old: Scalars) {
    for k in 0..<names.count {
      if let j = old.names.firstIndex(of: names[k]) { values[k] = old.values[j] }
    }
  }

  func begin() { pending.update(from: values, count: names.count) }
  func commit() { values.update(from: pending, count: names.count) }
}
