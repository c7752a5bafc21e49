import CShims

/// Every rule, in the order that users see. Adding a rule adds its line here.
/// (The closures are spelled out because a C function pointer cannot be made from a generic one.)
// swift-format-ignore
@inline(__always)
func eachRule<V: Visitor>(_ v: inout V) {
  v.rule(SGD<Float>.self, { run(SGD<Float>.self, $0) }, SGD<Double>.self, { run(SGD<Double>.self, $0) })
  v.rule(Adagrad<Float>.self, { run(Adagrad<Float>.self, $0) }, Adagrad<Double>.self, { run(Adagrad<Double>.self, $0) })
  v.rule(RMSprop<Float>.self, { run(RMSprop<Float>.self, $0) }, RMSprop<Double>.self, { run(RMSprop<Double>.self, $0) })
  v.rule(Adam<Float>.self, { run(Adam<Float>.self, $0) }, Adam<Double>.self, { run(Adam<Double>.self, $0) })
  v.rule(AdamW<Float>.self, { run(AdamW<Float>.self, $0) }, AdamW<Double>.self, { run(AdamW<Double>.self, $0) })
  v.rule(Lion<Float>.self, { run(Lion<Float>.self, $0) }, Lion<Double>.self, { run(Lion<Double>.self, $0) })
  v.rule(Lamb<Float>.self, { run(Lamb<Float>.self, $0) }, Lamb<Double>.self, { run(Lamb<Double>.self, $0) })
  v.rule(Adafactor<Float>.self, { run(Adafactor<Float>.self, $0) }, Adafactor<Double>.self, { run(Adafactor<Double>.self, $0) })
  v.rule(Muon<Float>.self, { run(Muon<Float>.self, $0) }, Muon<Double>.self, { run(Muon<Double>.self, $0) })
  v.rule(Prodigy<Float>.self, { run(Prodigy<Float>.self, $0) }, Prodigy<Double>.self, { run(Prodigy<Double>.self, $0) })
  v.rule(Sophia<Float>.self, { run(Sophia<Float>.self, $0) }, Sophia<Double>.self, { run(Sophia<Double>.self, $0) })
  v.rule(AdaHessian<Float>.self, { run(AdaHessian<Float>.self, $0) }, AdaHessian<Double>.self, { run(AdaHessian<Double>.self, $0) })
}

/// Every stage: of gradients, of updates, and of either by its arguments.
// swift-format-ignore
@inline(__always)
func eachStage<V: Visitor>(_ v: inout V) {
  v.stage(Unscale<Float>.self, { pass(Unscale<Float>.self, $0, $1, $2, $3, $4, $5) }, Unscale<Double>.self, { pass(Unscale<Double>.self, $0, $1, $2, $3, $4, $5) })
  v.stage(Accumulate<Float>.self, { pass(Accumulate<Float>.self, $0, $1, $2, $3, $4, $5) }, Accumulate<Double>.self, { pass(Accumulate<Double>.self, $0, $1, $2, $3, $4, $5) })
  v.stage(ClipNorm<Float>.self, { pass(ClipNorm<Float>.self, $0, $1, $2, $3, $4, $5) }, ClipNorm<Double>.self, { pass(ClipNorm<Double>.self, $0, $1, $2, $3, $4, $5) })
  v.stage(ClipValue<Float>.self, { pass(ClipValue<Float>.self, $0, $1, $2, $3, $4, $5) }, ClipValue<Double>.self, { pass(ClipValue<Double>.self, $0, $1, $2, $3, $4, $5) })
  v.stage(ClipUnit<Float>.self, { pass(ClipUnit<Float>.self, $0, $1, $2, $3, $4, $5) }, ClipUnit<Double>.self, { pass(ClipUnit<Double>.self, $0, $1, $2, $3, $4, $5) })
  v.stage(Centralize<Float>.self, { pass(Centralize<Float>.self, $0, $1, $2, $3, $4, $5) }, Centralize<Double>.self, { pass(Centralize<Double>.self, $0, $1, $2, $3, $4, $5) })
  v.stage(Noise<Float>.self, { pass(Noise<Float>.self, $0, $1, $2, $3, $4, $5) }, Noise<Double>.self, { pass(Noise<Double>.self, $0, $1, $2, $3, $4, $5) })
  v.stage(FiniteGuard<Float>.self, { pass(FiniteGuard<Float>.self, $0, $1, $2, $3, $4, $5) }, FiniteGuard<Double>.self, { pass(FiniteGuard<Double>.self, $0, $1, $2, $3, $4, $5) })
  v.stage(Maximize<Float>.self, { pass(Maximize<Float>.self, $0, $1, $2, $3, $4, $5) }, Maximize<Double>.self, { pass(Maximize<Double>.self, $0, $1, $2, $3, $4, $5) })
  v.either(
    Decay<Float>.self, { pass(Decay<Float>.self, $0, $1, $2, $3, $4, $5) }, { run(Decay<Float>.self, $0) },
    Decay<Double>.self, { pass(Decay<Double>.self, $0, $1, $2, $3, $4, $5) }, { run(Decay<Double>.self, $0) })
  v.update(Sam<Float>.self, { run(Sam<Float>.self, $0) }, Sam<Double>.self, { run(Sam<Double>.self, $0) })
  v.update(Asam<Float>.self, { run(Sam<Float>.self, $0) }, Asam<Double>.self, { run(Sam<Double>.self, $0) })
  v.update(Cautious<Float>.self, { run(Cautious<Float>.self, $0) }, Cautious<Double>.self, { run(Cautious<Double>.self, $0) })
  v.update(Project<Float>.self, { run(Project<Float>.self, $0) }, Project<Double>.self, { run(Project<Double>.self, $0) })
  v.update(Lookahead<Float>.self, { run(Lookahead<Float>.self, $0) }, Lookahead<Double>.self, { run(Lookahead<Double>.self, $0) })
  v.update(Ema<Float>.self, { run(Ema<Float>.self, $0) }, Ema<Double>.self, { run(Ema<Double>.self, $0) })
  v.update(SWA<Float>.self, { run(SWA<Float>.self, $0) }, SWA<Double>.self, { run(SWA<Double>.self, $0) })
  v.storing(Master.self)
  v.storing(Kahan.self)
  v.storing(StochasticRounding.self)
}

protocol Visitor {
  mutating func rule<F: LaneRule, D: LaneRule>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel)
  mutating func rule<F: MeasuringRule, D: MeasuringRule>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel)
  mutating func rule<F: FactoredRule, D: FactoredRule>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel)
  mutating func rule<F: SharedRule, D: SharedRule>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel)
  mutating func rule<F: MatrixRule, D: MatrixRule>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel)
  mutating func stage<F: DeclaredStage, D: DeclaredStage>(
    _: F.Type, _ float: @escaping ravine_stage_kernel, _: D.Type,
    _ double: @escaping ravine_stage_kernel)
  mutating func storing<S: StoringStage>(_: S.Type)
  mutating func update<F: UpdateStage, D: UpdateStage>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel)
  mutating func update<F: MeasuringUpdate, D: MeasuringUpdate>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel)
  mutating func either<F: DeclaredStage & UpdateStage, D: DeclaredStage & UpdateStage>(
    _: F.Type, _ float: @escaping ravine_stage_kernel, _ floatUpdate: @escaping ravine_rule_kernel,
    _: D.Type, _ double: @escaping ravine_stage_kernel,
    _ doubleUpdate: @escaping ravine_rule_kernel)
}

/// One stage over one block: out = stage(in * factor).
@inline(never)
func pass<S: LaneStage>(
  _: S.Type, _ constants: UnsafeRawPointer?, _ x: UnsafeRawPointer?, _ p: UnsafeRawPointer?,
  _ factor: Double, _ y: UnsafeMutableRawPointer?, _ count: Int
) {
  let stage = constants.unsafelyUnwrapped.loadUnaligned(as: S.self)
  let from = x.unsafelyUnwrapped.assumingMemoryBound(to: S.T.self)
  let parameters = p.unsafelyUnwrapped.assumingMemoryBound(to: S.T.self)
  let to = y.unsafelyUnwrapped.assumingMemoryBound(to: S.T.self)
  let f = S.T(factor)
  var i = 0
  while i < count {
    storeLanes(stage.transform(loadLanes(from + i) * f, loadLanes(parameters + i)), to + i)
    i &+= S.T.Lanes.scalarCount
  }
}

/// Only the factor.
@inline(never)
func scale<T: Scalar>(
  _: T.Type, _ x: UnsafeRawPointer?, _ factor: Double, _ y: UnsafeMutableRawPointer?, _ count: Int
) {
  let from = x.unsafelyUnwrapped.assumingMemoryBound(to: T.self)
  let to = y.unsafelyUnwrapped.assumingMemoryBound(to: T.self)
  let f = T(factor)
  var i = 0
  while i < count {
    storeLanes(loadLanes(from + i) * f, to + i)
    i &+= T.Lanes.scalarCount
  }
}

/// Fills the table of this module's instruction set.
struct Filler: Visitor {
  let kernels: UnsafePointer<ravine_kernels>
  var rules = 0, stages = 0

  @inline(__always)
  mutating func rule<F: LaneRule, D: LaneRule>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel
  ) {
    put(float, double, in: kernels.pointee.rule, at: &rules)
  }

  @inline(__always)
  mutating func rule<F: MeasuringRule, D: MeasuringRule>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel
  ) {
    put(float, double, in: kernels.pointee.rule, at: &rules)
  }

  @inline(__always)
  mutating func rule<F: FactoredRule, D: FactoredRule>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel
  ) {
    put(float, double, in: kernels.pointee.rule, at: &rules)
  }

  @inline(__always)
  mutating func rule<F: SharedRule, D: SharedRule>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel
  ) {
    put(float, double, in: kernels.pointee.rule, at: &rules)
  }

  @inline(__always)
  mutating func rule<F: MatrixRule, D: MatrixRule>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel
  ) {
    put(float, double, in: kernels.pointee.rule, at: &rules)
  }

  @inline(__always)
  mutating func stage<F: DeclaredStage, D: DeclaredStage>(
    _: F.Type, _ float: @escaping ravine_stage_kernel, _: D.Type,
    _ double: @escaping ravine_stage_kernel
  ) {
    put(float, double, in: kernels.pointee.stage, at: &stages)
  }

  /// The engine stores parameters by itself; the row stays empty.
  @inline(__always)
  mutating func storing<S: StoringStage>(_: S.Type) { stages &+= 1 }

  @inline(__always)
  mutating func update<F: UpdateStage, D: UpdateStage>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel
  ) {
    put(float, double, in: kernels.pointee.update, at: &stages)
  }

  @inline(__always)
  mutating func update<F: MeasuringUpdate, D: MeasuringUpdate>(
    _: F.Type, _ float: @escaping ravine_rule_kernel, _: D.Type,
    _ double: @escaping ravine_rule_kernel
  ) {
    put(float, double, in: kernels.pointee.update, at: &stages)
  }

  @inline(__always)
  mutating func either<F: DeclaredStage & UpdateStage, D: DeclaredStage & UpdateStage>(
    _: F.Type, _ float: @escaping ravine_stage_kernel, _ floatUpdate: @escaping ravine_rule_kernel,
    _: D.Type, _ double: @escaping ravine_stage_kernel,
    _ doubleUpdate: @escaping ravine_rule_kernel
  ) {
    var row = stages
    put(floatUpdate, doubleUpdate, in: kernels.pointee.update, at: &row)
    put(float, double, in: kernels.pointee.stage, at: &stages)
  }

  @inline(__always)
  private func put<F>(
    _ float: F, _ double: F, in table: UnsafeMutablePointer<F?>?, at row: inout Int
  ) {
    let table = table.unsafelyUnwrapped
    table[2 &* row] = float
    #if !AVX512
    table[2 &* row &+ 1] = double
    #endif
    row &+= 1
  }
}

@inline(__always)
func fill(_ kernels: UnsafeMutablePointer<ravine_kernels>) {
  var filler = Filler(kernels: UnsafePointer(kernels))
  eachRule(&filler)
  eachStage(&filler)
  kernels.pointee.stage[2 &* filler.stages] = { scale(Float.self, $1, $3, $4, $5) }

  let measure = kernels.pointee.measure.unsafelyUnwrapped
  measure[0] = { measureBlocks(Squares.self, Float.self, $0, $1, $2, $3) }
  measure[2] = { measureSize(Float.self, 0, $0, $1, $2, $3) }
  measure[4] = { measureSize(Float.self, 1, $0, $1, $2, $3) }
  measure[6] = { measureBlocks(Nonfinite.self, Float.self, $0, $1, $2, $3) }

  kernels.pointee.sizes.0 = { measureSizes(Float.self, $0, $2, $3) }
  kernels.pointee.inspect.0 = { inspect(Float.self, $0.unsafelyUnwrapped) }

  let unit = kernels.pointee.unit.unsafelyUnwrapped
  unit[0] = { measureRows(Float.self, $0.unsafelyUnwrapped) }
  unit[2] = { measureColumns(Float.self, $0.unsafelyUnwrapped) }
  unit[4] = { changeRows(Float.self, $0.unsafelyUnwrapped) }
  unit[6] = { changeColumns(Float.self, $0.unsafelyUnwrapped) }

  kernels.pointee.factor.0 = { measureFactors(Float.self, $0.unsafelyUnwrapped) }
  kernels.pointee.factor.2 = { weighFactors(Float.self, $0.unsafelyUnwrapped) }

  let load = kernels.pointee.load.unsafelyUnwrapped, store = kernels.pointee.store.unsafelyUnwrapped
  load[2] = { loadFloats(F32.self, $0, $1, $2) }
  load[4] = { loadFloats(F64.self, $0, $1, $2) }
  load[6] = { loadFloats(BF16.self, $0, $1, $2) }
  load[8] = { loadFloats(F16.self, $0, $1, $2) }
  store[2] = { storeFloats(F32.self, $0, $1, $2) }
  store[4] = { storeFloats(F64.self, $0, $1, $2) }
  store[6] = { storeFloats(BF16.self, $0, $1, $2) }
  store[8] = { storeFloats(F16.self, $0, $1, $2) }

  kernels.pointee.draw = { draw($0, $1, $2, $3, $4) }
  kernels.pointee.dither = { dither($0, $1, $2 != 0, $3, $4) }
  kernels.pointee.combine = { combine($0, $1, $2, $3, $4) }
  kernels.pointee.recall = { recall($0, $1, $2, $3) }
  kernels.pointee.dequantize = { dequantize($0, $1, $2, $3, $4) }
  kernels.pointee.quantize = { quantize($0, $1, $2, $3, $4 != 0, $5) }

  fillProduct(kernels)
  kernels.pointee.reflect = { reflect($0, $1, $2, $3) }
  #if !AVX512
  fillDouble(kernels, filler.stages)
  #endif
}

#if !AVX512
/// What works in Double. With AVX-512 it is that of AVX2: memory and divisions take the same time.
@inline(__always)
func fillDouble(_ kernels: UnsafeMutablePointer<ravine_kernels>, _ stages: Int) {
  let measure = kernels.pointee.measure.unsafelyUnwrapped
  let unit = kernels.pointee.unit.unsafelyUnwrapped
  let load = kernels.pointee.load.unsafelyUnwrapped, store = kernels.pointee.store.unsafelyUnwrapped
  kernels.pointee.stage[2 &* stages &+ 1] = { scale(Double.self, $1, $3, $4, $5) }
  measure[1] = { measureBlocks(Squares.self, Double.self, $0, $1, $2, $3) }
  measure[3] = { measureSize(Double.self, 0, $0, $1, $2, $3) }
  measure[5] = { measureSize(Double.self, 1, $0, $1, $2, $3) }
  measure[7] = { measureBlocks(Nonfinite.self, Double.self, $0, $1, $2, $3) }
  kernels.pointee.sizes.1 = { measureSizes(Double.self, $0, $2, $3) }
  unit[1] = { measureRows(Double.self, $0.unsafelyUnwrapped) }
  unit[3] = { measureColumns(Double.self, $0.unsafelyUnwrapped) }
  unit[5] = { changeRows(Double.self, $0.unsafelyUnwrapped) }
  unit[7] = { changeColumns(Double.self, $0.unsafelyUnwrapped) }
  load[3] = { loadDoubles(F32.self, $0, $1, $2) }
  load[5] = { loadDoubles(F64.self, $0, $1, $2) }
  load[7] = { loadDoubles(BF16.self, $0, $1, $2) }
  load[9] = { loadDoubles(F16.self, $0, $1, $2) }
  store[3] = { storeDoubles(F32.self, $0, $1, $2) }
  store[5] = { storeDoubles(F64.self, $0, $1, $2) }
  store[7] = { storeDoubles(BF16.self, $0, $1, $2) }
  store[9] = { storeDoubles(F16.self, $0, $1, $2) }
  #if BASELINE
  // Few tensors are stepped in Double.
  kernels.pointee.inspect.1 = { inspect(Double.self, $0.unsafelyUnwrapped) }
  kernels.pointee.factor.1 = { measureFactors(Double.self, $0.unsafelyUnwrapped) }
  kernels.pointee.factor.3 = { weighFactors(Double.self, $0.unsafelyUnwrapped) }
  #endif
}
#endif

#if BASELINE
@_cdecl("ravine_kernels_baseline") @implementation
public func ravine_kernels_baseline(_ kernels: UnsafeMutablePointer<ravine_kernels>?) {
  fill(kernels.unsafelyUnwrapped)
}
#elseif AVX2
@_cdecl("ravine_kernels_avx2") @implementation
public func ravine_kernels_avx2(_ kernels: UnsafeMutablePointer<ravine_kernels>?) {
  fill(kernels.unsafelyUnwrapped)
}
#elseif AVX512
@_cdecl("ravine_kernels_avx512") @implementation
public func ravine_kernels_avx512(_ kernels: UnsafeMutablePointer<ravine_kernels>?) {
  fill(kernels.unsafelyUnwrapped)
}
#endif
