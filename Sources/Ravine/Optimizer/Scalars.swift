import Kernels

/// The numbers that stages and rules remember for all tensors together. A step changes copies, which
/// take the place of the numbers when it has done its work.
struct Scalars {
  let names: [Text]
  /// Where those of each stage begin.
  private let places: [Int]
  let values: UnsafeMutablePointer<Double>
  private let pending: UnsafeMutablePointer<Double>

  /// At their start, for a whole recipe.
  init(_ recipe: Recipe, _ heap: Heap) throws(RavineError) {
    var names: [Text] = [], starts: [Double] = [], places: [Int] = []
    for (k, stage) in recipe.stages.enumerated() {
      places.append(names.count)
      for scalar in try stage.declaration.scalars {
        names.append("\(try stageName(k, in: recipe.stages)).\(scalar.name)")
        starts.append(try GroupSlot(Text(), scalar, stage).start)
      }
    }
    try checkMemory()
    values = try heap.allocate(Double.self, 2 * names.count)
    pending = values + names.count
    for (k, start) in starts.enumerated() { values[k] = start }
    self.names = names
    self.places = places
    begin()
  }

  /// Those that stage k may change in this step.
  func of(stage k: Int) -> UnsafeMutablePointer<Double> { pending + places[k] }

  func begin() { pending.update(from: values, count: names.count) }
  func commit() { values.update(from: pending, count: names.count) }
}
