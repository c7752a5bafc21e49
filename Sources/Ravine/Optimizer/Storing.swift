import CRavine
import CShims
import Kernels

/// What does not lie in memory as the arithmetic has it: parameters of 16 bits, and packed moments.
/// While this runs, no block of state is in scratch yet, or it was used: the copies are free.
extension Piece {
  // MARK: parameters

  /// The slot that a stage keeps beside parameters of 16 bits.
  private var kept: Int? {
    let storing = work.pointee.storing
    guard tensor.pointee.half, storing == .master || storing == .kahan else { return nil }
    return group.pointee.slots + work.pointee.stages[work.pointee.storingStage].slot
  }

  /// The parameters of a block, as the step starts from them.
  func parameters(_ block: Int) -> UnsafeRawPointer {
    if let origin = tensor.pointee.origin {
      return UnsafeRawPointer(origin + block * RAVINE_BLOCK * tensor.pointee.lane)
    }
    let p = lanes(
      tensor.pointee.data.unsafelyUnwrapped, tensor.pointee.type, block, scratch.p)
    if let kept { recall(kept, block) }
    return p
  }

  /// What parameters in scratch were before they were rounded. One that was changed since then is what
  /// it is: its rounding is another.
  @inline(never)
  private func recall(_ kept: Int, _ block: Int) {
    let n = length(block), padded = (n + 15) & ~15
    let p = scratch.floats(scratch.p), x = scratch.floats(scratch.copy(0))
    let seen = scratch.floats(scratch.copy(1))
    unpack(kept, block, n, x)
    if work.pointee.storing == .kahan {
      // Half of what was cut off is not enough for another rounding, even where it was rounded up itself.
      work.pointee.kernels.combine.unsafelyUnwrapped(p, x, 0.5, seen, padded)
      work.pointee.kernels.combine.unsafelyUnwrapped(p, x, 1, x, padded)
    } else {
      memcpy(seen, x, 4 * padded)
    }
    round(seen, scratch.raw, padded)
    widen(scratch.raw, seen, padded)
    work.pointee.kernels.recall.unsafelyUnwrapped(x, seen, p, padded)
  }

  /// Rounds new parameters to their type.
  @inline(never)
  func store(_ new: UnsafeMutableRawPointer, _ out: UnsafeMutableRawPointer, _ block: Int) {
    let n = length(block), padded = (n + 15) & ~15
    if work.pointee.storing == .stochastic, tensor.pointee.half {
      let stage = work.pointee.stages[work.pointee.storingStage]
      let seed = UInt64(group.pointee.hyper(of: stage)[0])
      let key = Philox(seed: seed, .rounding).key(tensor.pointee.hash)
      dither(new, tensor.pointee.type == RVN_F16, key, block, padded)
    }
    round(new, out, padded)
    guard let kept else { return }
    if work.pointee.storing == .kahan {
      let stored = scratch.floats(scratch.copy(0))
      widen(out, stored, padded)
      work.pointee.kernels.combine.unsafelyUnwrapped(
        scratch.floats(new), stored, -1, scratch.floats(new), padded)
    }
    pack(new, kept, block, n, dithered: false)
  }

  private func round(_ x: UnsafeRawPointer, _ out: UnsafeMutableRawPointer, _ padded: Int) {
    work.pointee.kernels.store[2 * Int(tensor.pointee.type) + wide].unsafelyUnwrapped(
      x, out, padded)
  }

  private func widen(_ x: UnsafeRawPointer, _ out: UnsafeMutableRawPointer, _ padded: Int) {
    work.pointee.kernels.load[2 * Int(tensor.pointee.type)].unsafelyUnwrapped(x, out, padded)
  }

  /// Puts Floats on numbers of BF16 or F16, up or down.
  private func dither(
    _ x: UnsafeMutableRawPointer, _ isF16: Bool, _ key: UInt64, _ block: Int, _ padded: Int
  ) {
    let bits = scratch.bits.assumingMemoryBound(to: UInt16.self), floats = scratch.floats(x)
    work.pointee.kernels.draw.unsafelyUnwrapped(
      key, UInt64((tensor.pointee.drawn + block) * RAVINE_BLOCK), tensor.pointee.t + 1, bits, padded
    )
    work.pointee.kernels.dither.unsafelyUnwrapped(floats, bits, isF16 ? 1 : 0, floats, padded)
  }

  // MARK: state

  @inline(__always)
  func isPacked(_ slot: Int) -> Bool {
    tensor.pointee.packed
      && tensor.pointee.types.unsafelyUnwrapped[slot] != tensor.pointee.laneType
  }

  /// Whether lanes get what moments by row and by column say.
  @inline(__always)
  func isFactored(_ slot: Int) -> Bool {
    tensor.pointee.packed
      && tensor.pointee.types.unsafelyUnwrapped[slot] == SlotType.factored
  }

  private func codes(_ slot: Int, _ block: Int) -> Codes {
    Codes(
      tensor.pointee.slots.unsafelyUnwrapped[slot].unsafelyUnwrapped,
      tensor.pointee.types.unsafelyUnwrapped[slot], tensor.pointee,
      from: block * RAVINE_BLOCK, work.pointee.kernels.map)
  }

  private func place(_ slot: Int, _ type: Int32, _ block: Int) -> UnsafeMutableRawPointer {
    tensor.pointee.slots.unsafelyUnwrapped[slot].unsafelyUnwrapped
      + block * RAVINE_BLOCK * SlotType.size(type)
  }

  /// A block of a slot, as the arithmetic has it.
  @inline(never)
  func unpack(_ slot: Int, _ block: Int, _ n: Int, _ out: UnsafeMutableRawPointer) {
    let type = tensor.pointee.types.unsafelyUnwrapped[slot], padded = (n + 15) & ~15
    if type == SlotType.factored { return weighFactors(block, out) }
    countBytes(n * SlotType.size(type))
    guard SlotType.quantized(type) else {
      work.pointee.kernels.load[2 * Int(type) + wide].unsafelyUnwrapped(
        place(slot, type, block), out, padded)
      return
    }
    let c = codes(slot, block), floats = scratch.floats(wide == 1 ? scratch.raw : out)
    work.pointee.kernels.dequantize.unsafelyUnwrapped(c.codes, c.scales, c.map, floats, padded)
    if wide == 1 {
      work.pointee.kernels.load[2 * Int(RVN_F32) + 1].unsafelyUnwrapped(floats, out, padded)
    }
  }

  /// Puts the packed ones of some slots back where they were unpacked from.
  func putBack(_ block: Int, _ n: Int, _ first: Int, _ count: Int) {
    guard work.pointee.phase.kind == .update else { return }
    for k in 0..<count
    where scratch.masks[k] != 0 && isPacked(first + k) && !isFactored(first + k) {
      pack(scratch.copy(k), first + k, block, n, dithered: true)
    }
  }

  /// A block as the slot has it; what is dithered changes in scratch.
  @inline(never)
  private func pack(
    _ x: UnsafeMutableRawPointer, _ slot: Int, _ block: Int, _ n: Int, dithered: Bool
  ) {
    let type = tensor.pointee.types.unsafelyUnwrapped[slot], padded = (n + 15) & ~15
    countBytes(n * SlotType.size(type))
    var floats = x
    if wide == 1 {
      floats = scratch.raw
      work.pointee.kernels.store[2 * Int(RVN_F32) + 1].unsafelyUnwrapped(x, floats, padded)
    }
    if SlotType.quantized(type) {
      let c = codes(slot, block)
      work.pointee.kernels.quantize.unsafelyUnwrapped(
        scratch.floats(floats), c.codes, c.scales, c.map, c.positive ? 1 : 0, n)
      return
    }
    if dithered {
      // To nearest, a mean that changes by less than 1/512 in a step would stand still.
      let key = Philox(seed: 0, .moments).child(tensor.pointee.hash).key(UInt64(slot))
      dither(floats, false, key, block, padded)
    }
    work.pointee.kernels.store[2 * Int(type)].unsafelyUnwrapped(
      floats, place(slot, type, block), padded)
  }
}
