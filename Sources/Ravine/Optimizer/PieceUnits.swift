import CRavine
import CShims
import Kernels

/// Gradients that are changed by unit.
extension Piece {
  func units(_ k: Int) -> UnsafeMutablePointer<UnitWork> {
    let place = work.pointee.stages[k].units * work.pointee.tensorCount
    return work.pointee.units + place + (tensor - UnsafePointer(work.pointee.tensors))
  }

  /// Measures a block for stage k, which changes the gradient by unit.
  func measureUnits(_ k: Int, _ block: Int) {
    let units = self.units(k)
    guard units.pointee.units > 0 else { return }
    var (g, factor) = gradient(block, upTo: k)
    if g != UnsafeRawPointer(scratch.g) || factor != 1 { g = scaled(g, factor, block) }
    let p = parameters(block)
    let size = length(block) * tensor.pointee.lane
    if p != UnsafeRawPointer(scratch.p) { memcpy(scratch.p, p, size) }
    countBytes(parameters: 1, block, times: 1)
    var call = units.pointee.call(tensor.pointee, block)
    call.x = g
    call.p = UnsafeRawPointer(scratch.p)
    let row = units.pointee.byColumn ? 1 : 0
    work.pointee.kernels.unit[2 * row + wide].unsafelyUnwrapped(&call)
  }

  /// The gradient of a block as stage k leaves it.
  func changeUnits(_ k: Int, _ block: Int, _ g: UnsafeRawPointer, _ factor: Double)
    -> UnsafeRawPointer
  {
    let units = self.units(k), scaled = scaled(g, factor, block)
    guard units.pointee.units > 0 else { return scaled }
    var call = units.pointee.call(tensor.pointee, block)
    call.x = scaled
    call.out = scratch.g
    let row = units.pointee.byColumn ? 3 : 2
    work.pointee.kernels.unit[2 * row + wide].unsafelyUnwrapped(&call)
    return scaled
  }
}
