import CRavine
import Kernels

/// How the elements of a tensor begin: a pure function of seed, name, shape and place.
protocol Initializer {
  static var declaration: Declaration { get }
  /// Arguments are in range already; what only they know together is checked here.
  init(_ a: Arguments) throws(RavineError)
  /// What fills this tensor; fails where its shape does not suit. It has one element at least.
  func fill(_ target: Target) throws(RavineError) -> Fill
}

/// Writes elements first, first + 1, ... in row-major order; called from several threads at once.
typealias Fill = (_ first: Int, _ count: Int, _ out: UnsafeMutablePointer<Double>) -> Void

typealias FillPlan = (Target) throws(RavineError) -> Fill

/// The tensor to be filled.
struct Target {
  let name: Text
  let shape: UnsafePointer<Int64>
  let rank, count: Int
  /// A generator for this seed and this name.
  let random: Philox
  /// For what a fill keeps beside the tensor.
  let heap: Heap
  let options: Options
  let threads: Int

  func unsuitable(_ who: StaticText, _ wanted: Text) -> RavineError {
    RavineError(
      RVN_ERR_SHAPE, "\(who) needs \(wanted), but '\(name)' has shape \(shapeText(shape, rank))")
  }
}

struct InitializerEntry {
  let declaration: Declaration
  let make: (Arguments) throws(RavineError) -> FillPlan
}

/// Every initializer, in the order that users see. Adding one adds its line here.
func allInitializers() -> [InitializerEntry] {
  [
    entry(Zeros.self),
    entry(Ones.self),
    entry(Full.self),
    entry(Uniform.self),
    entry(Normal.self),
    entry(TruncatedNormal.self),
    entry(Glorot.self),
    entry(He.self),
    entry(LeCun.self),
    entry(VarianceScaling.self),
    entry(Orthogonal.self),
    entry(DeltaOrthogonal.self),
    entry(Identity.self),
    entry(Sparse.self),
    entry(ForgetBias.self),
  ]
}

private func entry<I: Initializer>(_: I.Type) -> InitializerEntry {
  InitializerEntry(
    declaration: I.declaration,
    make: { (a: Arguments) throws(RavineError) -> FillPlan in
      let initializer = try I(a)
      return { (target: Target) throws(RavineError) -> Fill in try initializer.fill(target) }
    })
}

/// What an initializer in a recipe stands for.
func plan(of element: Element) throws(RavineError) -> FillPlan {
  let entry = try Catalog.shared().initializers[element.row]
  return try entry.make(Arguments(values: element.values, inner: []))
}

/// The same number everywhere.
func constantFill(_ value: Double) -> Fill {
  { _, count, out in
    for i in 0..<count { out[i] = value }
  }
}
