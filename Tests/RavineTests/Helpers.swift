import CRavine
import CShims
import Kernels
import Testing

@testable import Ravine

/// Tests that make steps, one after the other: the counter of bytes is one for the process.
@Suite(.serialized) enum Stepping {}

extension Text {
  var string: String { String(decoding: bytes, as: UTF8.self) }
}

extension StaticText: CustomStringConvertible {
  public var description: String { Text(self).string }
}

extension Document {
  var string: String {
    String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  }
}

func parse(_ text: String) throws -> Recipe { try Parser.recipe(Array(text.utf8)) }

/// A recipe in canonical form.
func canonical(_ text: String) throws -> String { try print(parse(text)).string }

/// What goes wrong in the body, if anything does.
func failure(_ body: () throws -> Void) -> RavineError? {
  do { try body() } catch { return error as? RavineError }
  return nil
}

/// The sentence about what goes wrong; "" where nothing does.
func sentence(_ body: () throws -> Void) -> String { failure(body)?.message.string ?? "" }

/// SplitMix64, the generator of Steele, Lea and Flood: the same numbers in every run.
struct Random {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
  /// From 0 to 1.
  mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
  mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
}

/// An optimizer with tensors whose memory it owns.
final class Model {
  let optimizer: Optimizer
  private(set) var data: [UnsafeMutableRawPointer] = []
  private(set) var grads: [UnsafeMutableRawPointer] = []
  private(set) var counts: [Int] = []

  init(_ recipe: String, _ options: Options = Options()) throws {
    optimizer = try Optimizer.make(Array(recipe.utf8), options)
  }

  deinit { for memory in data + grads { memory.deallocate() } }

  /// All parameters are 1 and all gradients 0.5, whatever the type.
  @discardableResult
  func add(
    _ name: String, _ shape: [Int64], _ type: Int32 = RVN_F32, grad gradType: Int32 = 0,
    bound: Bool = true
  ) throws -> Model {
    let count = Int(shape.reduce(1, *))
    let array = Model.array(count, type, 1)
    let gradient = Model.array(count, gradType == 0 ? type : gradType, 0.5)
    var added = false
    defer {
      if !added {
        array.deallocate()
        gradient.deallocate()
      }
    }
    _ = try name.withCString { name in
      try shape.withUnsafeBufferPointer { shape in
        try optimizer.add(
          TensorDescription(
            name: name, data: array, grad: bound ? gradient : nil, type: type, gradType: gradType,
            rank: Int32(shape.count), shape: shape.baseAddress))
      }
    }
    added = true
    data.append(array)
    grads.append(gradient)
    counts.append(count)
    return self
  }

  private static func array(_ count: Int, _ type: Int32, _ value: Double) -> UnsafeMutableRawPointer
  {
    let size = ElementType.size(type) ?? 1
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(1, count * size), alignment: 8)
    for i in 0..<count { set(memory, type, i, value) }
    return memory
  }

  private static func set(
    _ memory: UnsafeMutableRawPointer, _ type: Int32, _ i: Int, _ value: Double
  ) {
    switch type {
    case RVN_F64: memory.storeBytes(of: value, toByteOffset: 8 * i, as: Double.self)
    case RVN_F32: memory.storeBytes(of: Float(value), toByteOffset: 4 * i, as: Float.self)
    case RVN_BF16:
      let bits = UInt16(truncatingIfNeeded: Float(value).bitPattern >> 16)
      memory.storeBytes(of: bits, toByteOffset: 2 * i, as: UInt16.self)
    default: memory.storeBytes(of: Float16(value).bitPattern, toByteOffset: 2 * i, as: UInt16.self)
    }
  }

  func setGradient(_ tensor: Int, _ i: Int, _ value: Double) {
    Model.set(grads[tensor], optimizer.tensors[tensor].gradType, i, value)
  }

  /// The elements of a tensor's parameters.
  func values(_ tensor: Int) -> [Double] {
    (0..<counts[tensor]).map { element(data[tensor], optimizer.tensors[tensor].type, $0) }
  }

  /// What holds for a tensor once its clauses were applied, as the plan prints it.
  func resolved(_ tensor: Int) throws -> Resolved {
    let plan = try optimizer.currentPlan()
    return plan.groups[plan.groupOf[tensor]].resolved
  }
}

/// An allocator that keeps accounts, and says no when its budget of allocations is used up.
final class Meter {
  var budget = Int.max
  private(set) var calls = 0
  private(set) var live = 0
  /// Blocks given back with another size than they were taken with, or never taken at all.
  private(set) var wrong = 0
  private var sizes: [UnsafeMutableRawPointer: Int] = [:]

  var allocator: ravine_allocator {
    ravine_allocator(
      allocate: { user, size, alignment in Meter.from(user).take(size, alignment) },
      deallocate: { user, memory, size, alignment in Meter.from(user).give(memory, size) },
      user: Unmanaged.passUnretained(self).toOpaque())
  }

  var options: Options {
    var options = Options()
    options.allocator = allocator
    return options
  }

  private static func from(_ user: UnsafeMutableRawPointer?) -> Meter {
    Unmanaged<Meter>.fromOpaque(user!).takeUnretainedValue()
  }

  private func take(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
    calls += 1
    if budget == 0 { return nil }
    budget -= 1
    let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: max(16, alignment))
    memory.initializeMemory(as: UInt8.self, repeating: 0xa5, count: size)  // not by chance zero
    sizes[memory] = size
    live += 1
    return memory
  }

  private func give(_ memory: UnsafeMutableRawPointer?, _ size: Int) {
    guard let memory, sizes.removeValue(forKey: memory) == size else {
      wrong += 1
      return
    }
    memory.initializeMemory(as: UInt8.self, repeating: 0x5a, count: size)
    memory.deallocate()
    live -= 1
  }
}
