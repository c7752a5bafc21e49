import CShims

/// Text that grows with the model, in a heap: `Text` is for sentences.
public final class Document {
  private var bytes: Table<UInt8>

  init(_ allocator: ravine_allocator) { bytes = Table(Heap(allocator)) }

  public var count: Int { bytes.count }
  public var start: UnsafePointer<UInt8>? { UnsafePointer(bytes.base) }

  func append(_ text: Text) throws(RavineError) {
    try checkMemory()
    let failed: RavineError? = text.bytes.withUnsafeBufferPointer { source in
      guard let base = source.baseAddress else { return nil }
      do throws(RavineError) { try bytes.append(from: base, count: source.count) } catch {
        return error
      }
      return nil
    }
    if let failed { throw failed }
  }

  func append(_ byte: UInt8) throws(RavineError) { try bytes.append(byte) }
}
