import CShims

/// The memory of one handle that grows with the model, the file or the text: from the host's
/// allocator, checked, and freed with the handle at the latest.
final class Heap {
  var allocator: ravine_allocator
  private var last: UnsafeMutablePointer<Header>?

  private struct Header {
    var previous, next: UnsafeMutablePointer<Header>?
    var size: Int
  }

  /// The header takes one cache line, so that what follows is aligned to 64 bytes.
  private static var offset: Int { 64 }

  init(_ allocator: ravine_allocator) { self.allocator = allocator }

  deinit {
    while let block = last { free(UnsafeMutableRawPointer(block) + Heap.offset) }
  }

  /// Uninitialised bytes, aligned to 64.
  func allocate(_ size: Int) throws(RavineError) -> UnsafeMutableRawPointer {
    let (whole, overflow) = size.addingReportingOverflow(Heap.offset)
    guard size >= 0, !overflow, let memory = ravine_allocate(&allocator, whole, 64) else {
      throw .memory
    }
    let header = memory.bindMemory(to: Header.self, capacity: 1)
    header.initialize(to: Header(previous: last, next: nil, size: whole))
    last?.pointee.next = header
    last = header
    return memory + Heap.offset
  }

  func allocate<T: BitwiseCopyable>(_: T.Type, _ count: Int) throws(RavineError)
    -> UnsafeMutablePointer<T>
  {
    let (size, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<T>.stride)
    guard !overflow else { throw .memory }
    return try allocate(size).bindMemory(to: T.self, capacity: count)
  }

  /// Zeros.
  func zeros<T: BitwiseCopyable>(_: T.Type, _ count: Int) throws(RavineError)
    -> UnsafeMutablePointer<T>
  {
    let memory = try allocate(T.self, count)
    memset(memory, 0, count * MemoryLayout<T>.stride)
    return memory
  }

  func free(_ memory: UnsafeMutableRawPointer?) {
    guard let memory else { return }
    let header = (memory - Heap.offset).assumingMemoryBound(to: Header.self)
    let h = header.pointee
    h.previous?.pointee.next = h.next
    if let next = h.next { next.pointee.previous = h.previous } else { last = h.previous }
    ravine_deallocate(&allocator, header, h.size, 64)
  }

  /// A place to return to: `release(to:)` frees all that was allocated after it.
  func mark() -> UnsafeMutableRawPointer? { UnsafeMutableRawPointer(last) }

  func release(to mark: UnsafeMutableRawPointer?) {
    while let block = last, UnsafeMutableRawPointer(block) != mark {
      free(UnsafeMutableRawPointer(block) + Heap.offset)
    }
  }
}

/// A growing array in a heap. It grows out of line: there are tables of everything.
struct Table<Element: BitwiseCopyable>: ~Copyable {
  let heap: Heap
  private(set) var base: UnsafeMutablePointer<Element>?
  private(set) var count = 0
  private var capacity = 0

  init(_ heap: Heap) { self.heap = heap }

  deinit { heap.free(base) }

  @inline(never)
  mutating func reserve(_ wanted: Int) throws(RavineError) {
    guard wanted > capacity else { return }
    let size = max(wanted, 2 * capacity, 16)
    let memory = try heap.allocate(Element.self, size)
    if let base {
      memory.update(from: base, count: count)
      heap.free(base)
    }
    base = memory
    capacity = size
  }

  @inline(never)
  mutating func append(_ element: Element) throws(RavineError) {
    try reserve(count + 1)
    base.unsafelyUnwrapped[count] = element
    count += 1
  }

  @inline(never)
  mutating func append(from source: UnsafePointer<Element>, count n: Int) throws(RavineError) {
    guard n > 0 else { return }
    try reserve(count + n)
    (base.unsafelyUnwrapped + count).update(from: source, count: n)
    count += n
  }

  mutating func removeAll() { count = 0 }

  subscript(_ i: Int) -> Element {
    get {
      precondition(i >= 0 && i < count)
      return base.unsafelyUnwrapped[i]
    }
    set {
      precondition(i >= 0 && i < count)
      base.unsafelyUnwrapped[i] = newValue
    }
  }
}
